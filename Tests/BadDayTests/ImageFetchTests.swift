import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// Images that come over HTTP while things go wrong.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct ImageFetchTests {
    private static func settings(_ server: WebServer) -> DaemonSettings {
        DaemonSettings(options: ["images": ["allowed_sources": server.url("/"), "reserve_mb": "0"]])
    }

    private static func arguments(
        _ instance: TestInstance,
        _ image: String,
        meta: JSONObject? = nil
    ) -> JSONObject {
        var description = instance.description.objectValue ?? [:]
        description["image_ref"] = .string(image)
        var arguments: JSONObject = ["instance": .object(description)]
        if let meta { arguments["image_meta"] = .object(meta) }
        return arguments
    }

    private static func cached(_ daemon: DaemonProcess) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: daemon.statePath + "/images/_base")) ?? []
    }

    @Test func aFetchGoesOnWhereTheKilledDaemonLeftIt() async throws {
        try await WebServer.run { server in
            try await Bench.run(Self.settings(server)) { bench in
                let instance = TestInstance()
                let arguments = Self.arguments(instance, server.url("/held/300032/1000"))
                try await bench.cast("spawn", arguments)
                let cache = bench.daemon.statePath + "/images/_base/"
                try await eventually("the beginning of the image is there") {
                    guard let name = Self.cached(bench.daemon).first(where: { $0.hasSuffix(".part") }) else {
                        return false
                    }
                    return try FileManager.default.attributesOfItem(atPath: cache + name)[.size] as? Int == 1000
                }
                try await bench.daemon.kill()
                try await server.release()
                try await bench.daemon.start()
                // The request was accepted, so it is carried out.
                try await eventually("the instance runs") {
                    (try? await bench.state(instance)) == "running"
                }
                let names = Self.cached(bench.daemon)
                #expect(names.filter { $0.contains(".part") } == [])
                let image = try #require(names.first { $0.hasSuffix(".raw") })
                let content = [UInt8](try Data(contentsOf: URL(filePath: cache + image)))
                #expect(content == WebServer.content(300_032))
                let ranges = try await server.requests().map { $0.headers["Range"] }
                #expect(ranges == [nil, "bytes=1000-"])
            }
        }
    }

    @Test func whatIsWrongWithAnImageIsSaidInNovasWords() async throws {
        try await WebServer.run { server in
            try await Bench.run(Self.settings(server)) { bench in
                let wrong: JSONObject = ["checksum": .string(String(repeating: "0", count: 32))]
                let hash: JSONObject = [
                    "os_hash_algo": "sha512", "os_hash_value": .string(String(repeating: "0", count: 128)),
                ]
                let cases: [(path: String, meta: JSONObject?, expected: String)] = [
                    ("/status/404", nil, "ImageNotFound"), ("/status/403", nil, "ImageNotAuthorized"),
                    ("/garbage", nil, "CouldNotFetchImage"), ("/bytes/1024", wrong, "ImageUnacceptable"),
                    ("/bytes/1024", ["nova_object.data": ["properties": .object(hash)]], "ImageUnacceptable"),
                    ("/bytes/1024", ["disk_format": "qcow2"], "ImageUnacceptable"),
                    ("/bytes/1024", ["size": 1025], "ImageUnacceptable"),
                ]
                for (path, meta, expected) in cases {
                    let arguments = Self.arguments(TestInstance(), server.url(path), meta: meta)
                    let failure = try await bench.failure("spawn", arguments)
                    #expect(failure == expected, "\(path)")
                }
                let elsewhere = Self.arguments(TestInstance(), "file:///etc/passwd")
                let failure = try await bench.failure("spawn", elsewhere)
                #expect(failure == "ImageUnacceptable")
                #expect(!Self.cached(bench.daemon).contains { $0.hasSuffix(".raw") || $0.hasSuffix(".part") })
            }
        }
    }
}
