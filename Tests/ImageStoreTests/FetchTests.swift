import Foundation
import HTTPClient
import HostBackend
import ImageStore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct FetchTests {
    private static let size = 300_032

    private func withServer(
        _ change: (inout ImageStoreSettings) -> Void = { _ in },
        allowed: String = "/",
        _ body: (StoreBox, WebServer) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { root in
            for name in ["images", "files", "instances"] {
                try FileManager.default.createDirectory(atPath: root + "/" + name, withIntermediateDirectories: false)
            }
            try await WebServer.run(directory: root + "/files") { server in
                try await body(
                    try StoreBox(root: root, sources: [server.url(allowed), "file://\(root)/files"], change),
                    server
                )
            }
        }
    }

    @Test func aHundredAskersShareOneFetch() async throws {
        try await withServer { box, server in
            let url = server.url("/held/\(Self.size)/1000")
            let images = try await withThrowingTaskGroup(of: ImageInfo.self) { group in
                for _ in 0..<100 { group.addTask { try await box.store.image(url) } }
                try await eventually { try await server.requests().count == 1 }
                try await server.release()
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            let image = try #require(images.first)
            #expect(images.count == 1)
            #expect(image.reference == url)
            #expect(image.format == "raw")
            #expect(try read(image.path) == WebServer.content(Self.size))
            // And what was fetched stays.
            _ = try await box.store.image(url)
            #expect(try await server.requests().count == 1)
            #expect(box.content().count == 1)
        }
    }

    @Test func twoStoresOnOneDirectoryShareOneFetch() async throws {
        try await withServer { box, server in
            let other = try StoreBox(root: box.root, sources: [server.url("/")])
            let url = server.url("/held/\(Self.size)/1000")
            async let one = box.store.image(url)
            try await eventually { try await server.requests().count == 1 }
            async let two = other.store.image(url)
            try await server.release()
            let paths = try await [one.path, two.path]
            #expect(Set(paths).count == 1)
            #expect(try await server.requests().count == 1)
        }
    }

    @Test func anAskerThatLeavesDoesNotTakeTheFetchAlong() async throws {
        try await withServer { box, server in
            let url = server.url("/held/\(Self.size)/1000")
            let leaver = Task { try await box.store.image(url) }
            try await eventually { try await server.requests().count == 1 }
            let stayer = Task { try await box.store.image(url) }
            leaver.cancel()
            #expect(await code { _ = try await leaver.value } == .cancelled)
            try await server.release()
            _ = try await stayer.value
            #expect(box.content().count == 1)
        }
    }

    @Test func aFetchThatNobodyWaitsForEndsAndIsContinuedLater() async throws {
        try await withServer { box, server in
            let url = server.url("/held/\(Self.size)/1000")
            let asker = Task { try await box.store.image(url) }
            try await eventually { (try? read(box.cache + "/" + (box.content().first ?? "")))?.count == 1000 }
            asker.cancel()
            #expect(await code { _ = try await asker.value } == .cancelled)
            try await server.release()
            let image = try await box.store.image(url)
            #expect(try read(image.path) == WebServer.content(Self.size))
            #expect(try await server.requests().last?.headers["Range"] == "bytes=1000-")
            #expect(box.content().count == 1)
        }
    }

    @Test func aBrokenFetchIsContinued() async throws {
        try await withServer { box, server in
            let image = try await box.store.image(server.url("/cut/\(Self.size)/1000"))
            #expect(try read(image.path) == WebServer.content(Self.size))
            #expect(try await server.requests().map { $0.headers["Range"] } == [nil, "bytes=1000-"])
        }
    }

    @Test func checksumsDecide() async throws {
        try await withServer { box, server in
            let copy = try box.file("copy", WebServer.content(Self.size)).dropFirst("file://".count)
            let right = try await checksum(String(copy), "sha512")
            var wrong = right
            wrong.value = String(right.value.reversed())
            let url = server.url("/bytes/\(Self.size)")
            let error = await failure { _ = try await box.store.image(ImageRequest(url, checksums: [wrong])) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(url) == true)
            #expect(error?.message.contains("sha512") == true)
            #expect(box.content() == [])
            _ = try await box.store.image(ImageRequest(url, checksums: [right]))
            // The wrong one is no way to what was fetched with the right one.
            #expect(
                await code { _ = try await box.store.image(ImageRequest(url, checksums: [wrong])) } == .invalidArgument
            )
            _ = try await box.store.image(url + "#sha512=" + right.value)
            #expect(await code { _ = try await box.store.image(url + "#sha512=" + wrong.value) } == .invalidArgument)
            #expect(await code { _ = try await box.store.image(url + "#nonsense") } == .invalidArgument)
        }
    }

    @Test func aChecksumCanBeDemanded() async throws {
        try await withServer({ $0.requiresChecksum = true }) { box, server in
            let url = server.url("/bytes/\(Self.size)")
            #expect(await code { _ = try await box.store.image(url) } == .invalidArgument)
            let requests = try await server.requests()
            #expect(requests.isEmpty)
        }
    }

    @Test func onlyAllowedSourcesAreAsked() async throws {
        try await withServer(allowed: "/bytes/") { box, server in
            _ = try await box.store.image(server.url("/bytes/\(Self.size)"))
            let asked = try await server.requests().count
            for url in [
                server.url("/plain/1000"), server.url("/bytes-and-more/1000"), server.url("/bytes/../plain/1000"),
                server.url("/bytes/%2e%2e/plain/1000"), server.url("/bytes/%2E./plain/1000"),
                server.url("/bytes/1000", host: "localhost"), "http://127.0.0.1:1/bytes/1000",
                server.url("/bytes/1000", host: "user:geheim@127.0.0.1"), "https://127.0.0.1:\(server.port)/bytes/1000",
                "ftp://127.0.0.1/x", "gopher://x/", "http://", "file:///etc/passwd",
            ] {
                let error = await failure { _ = try await box.store.image(url) }
                #expect(error?.code == .invalidArgument, "\(url): \(error?.message ?? "taken")")
                #expect(error?.message.contains("geheim") == false)
            }
            // A redirect is not a way out either.
            #expect(try await server.requests().count == asked)
        }
        try await withServer(allowed: "/redirect") { box, server in
            let url = server.url("/redirect?/bytes/1000")
            #expect(await code { _ = try await box.store.image(url) } == .invalidArgument)
            let paths = try await server.requests().map(\.path)
            #expect(paths == ["/redirect?/bytes/1000"])
        }
    }

    @Test func failuresHaveTheirOwnCodesAndLeaveNothing() async throws {
        try await withServer({
            $0.attempts = 1
            $0.maximumBytes = 200_000
        }) { box, server in
            for (path, expected) in [
                ("/status/404", BackendError.Code.notFound), ("/status/403", .unauthorized),
                ("/status/500", .timeout), ("/loop", .invalidArgument), ("/bytes/300000", .invalidArgument),
                ("/endless", .invalidArgument), ("/until-close/1024", .invalidArgument),
            ] {
                let url = server.url(path)
                let error = await failure { _ = try await box.store.image(url) }
                #expect(error?.code == expected, "\(path): \(error?.message ?? "taken")")
                #expect(error?.message.contains(url) == true)
            }
            #expect(box.content().filter { $0.hasSuffix(".raw") } == [])
        }
    }

    @Test func aSourceThatIsSilentIsGivenUp() async throws {
        try await withServer({ $0.fetchTimeout = .milliseconds(300) }) { box, server in
            #expect(await code { _ = try await box.store.image(server.url("/silent")) } == .timeout)
        }
    }

    // MARK: Files

    @Test func filesAreCopiedOnceAndAgainWhenTheyChange() async throws {
        try await StoreBox.with { box in
            let url = try box.file("one.raw", [UInt8](repeating: 1, count: 4096))
            let first = try await box.store.image(url)
            #expect(try await box.store.image(url) == first)
            try box.file("one.raw", [UInt8](repeating: 2, count: 8192))
            let second = try await box.store.image(url)
            #expect(second.path != first.path)
            #expect(second.virtualSize == 8192)
            // The disks over the first one go on finding it.
            #expect(try read(first.path) == [UInt8](repeating: 1, count: 4096))
        }
    }

    @Test func filesOutsideOfTheDirectoriesAreRefused() async throws {
        try await StoreBox.with { box in
            try write(box.root + "/secret", [UInt8](repeating: 1, count: 4096))
            let manager = FileManager.default
            try manager.createSymbolicLink(atPath: box.files + "/link", withDestinationPath: box.root + "/secret")
            try manager.createSymbolicLink(atPath: box.files + "/way", withDestinationPath: box.root)
            try manager.createDirectory(atPath: box.root + "/files2", withIntermediateDirectories: false)
            try write(box.root + "/files2/x", [1])
            _ = try await runCommand("mkfifo", [box.files + "/fifo"])
            for path in [
                "/etc/passwd", box.root + "/secret", box.files + "/link", box.files + "/way/secret",
                box.files + "/../secret", box.files + "/%2e%2e/secret", box.root + "/files2/x", box.files + "/fifo",
                box.files, "//" + box.files + "/../secret", "/dev/zero", box.files + "/a%00b", box.files + "/a?b",
            ] {
                let error = await failure { _ = try await box.store.image("file://" + path) }
                #expect(error?.code == .invalidArgument, "\(path): \(error?.message ?? "taken")")
            }
            #expect(await code { _ = try await box.store.image("file://\(box.files)/missing") } == .notFound)
            #expect(await code { _ = try await box.store.image("file://host/\(box.files)/x") } == .invalidArgument)
        }
    }

    @Test func aLinkWithinTheDirectoriesIsFollowed() async throws {
        try await StoreBox.with { box in
            try box.file("one.raw", [UInt8](repeating: 1, count: 4096))
            try FileManager.default.createSymbolicLink(
                atPath: box.files + "/latest",
                withDestinationPath: box.files + "/one.raw"
            )
            #expect(try await box.store.image("file://\(box.files)/latest").virtualSize == 4096)
        }
    }

    // MARK: Room

    @Test func aReserveIsKept() async throws {
        try await withServer({ $0.reserveBytes = 1 << 60 }) { box, server in
            let url = server.url("/bytes/\(Self.size)")
            #expect(await code { _ = try await box.store.image(url) } == .resourceExhausted)
            let file = try box.file("one.raw", [UInt8](repeating: 1, count: 4096))
            #expect(await code { _ = try await box.store.image(file) } == .resourceExhausted)
            #expect(box.content() == [])
        }
    }

    @Test(.enabled(if: geteuid() == 0, "needs root to mount a file system"))
    func aFullFileSystemIsSaidAndLeftAsItWas() async throws {
        try await withServer { box, server in
            _ = try await runCommand("mount", ["-t", "tmpfs", "-o", "size=1m", "none", box.images])
            do {
                // A body of unknown length: that there is no room shows when the last block is taken.
                for path in ["/until-close/4000000", "/bytes/4000000", "/endless"] {
                    let error = await failure { _ = try await box.store.image(server.url(path)) }
                    #expect(error?.code == .resourceExhausted, "\(path): \(error?.message ?? "taken")")
                    #expect(box.content() == [])
                }
                let file = try box.file("large.raw", [UInt8](repeating: 1, count: 4_000_000))
                #expect(await code { _ = try await box.store.image(file) } == .resourceExhausted)
                // And there is room for what fits.
                _ = try await box.store.image(server.url("/bytes/\(Self.size)"))
            } catch {
                _ = try await runCommand("umount", ["-l", box.images])
                throw error
            }
            _ = try await runCommand("umount", ["-l", box.images])
        }
    }
}
