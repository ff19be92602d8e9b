import Foundation
import HTTPClient
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct HTTPDownloadTests {
    private static let size = 300_000

    private func withDownload(
        _ path: String,
        change: (inout HTTPDownload, String) throws -> Void = { _, _ in },
        _ check: (Result<HTTPDownloadResult, HTTPError>, _ file: [UInt8], [WebServer.Request]) throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            try await WebServer.run { server in
                let client = try HTTPClient(logger: quiet)
                let file = directory + "/file"
                var download = HTTPDownload(try request(server.url(path)), to: file)
                try change(&download, file)
                let result: Result<HTTPDownloadResult, HTTPError>
                do throws(HTTPError) {
                    result = .success(try await client.download(download))
                } catch {
                    result = .failure(error)
                }
                try check(result, (try? bytes(file)) ?? [], try await server.requests())
            }
        }
    }

    @Test(arguments: ["/bytes/300000", "/plain/300000", "/redirect?/bytes/300000", "/flaky/503/300000"])
    func theBodyIsInTheFile(path: String) async throws {
        try await withDownload(path) { result, file, _ in
            let result = try result.get()
            #expect(result.bytes == 300_000)
            #expect(result.hasCertainEnd)
            #expect(result.resumedFrom == 0)
            #expect(file == WebServer.content(Self.size))
        }
    }

    @Test func aBrokenTransferIsContinued() async throws {
        try await withDownload("/cut/300000/100000") { result, file, requests in
            let got = try result.get()
            #expect(got.resumedFrom == 100_000)
            #expect(file == WebServer.content(Self.size))
            #expect(requests.map { $0.headers["Range"] } == [nil, "bytes=100000-"])
            #expect(requests.last?.headers["If-Range"] == "\"one\"")
        }
    }

    @Test func withoutAValidatorItBeginsAnew() async throws {
        try await withDownload("/cutplain/300000/100000") { result, file, requests in
            let got = try result.get()
            #expect(got.resumedFrom == 0)
            #expect(file == WebServer.content(Self.size))
            #expect(requests.map { $0.headers["Range"] } == [nil, nil])
        }
    }

    @Test func halvesOfTwoVersionsAreNeverPutTogether() async throws {
        try await withDownload("/change/300000/100000") { result, file, _ in
            let got = try result.get()
            #expect(got.resumedFrom == 0)
            #expect(file == WebServer.content(Self.size, salt: 1))
        }
    }

    @Test func aLaterCallContinuesWithTheValidator() async throws {
        let starts = Mutex<[HTTPDownloadStart]>([])
        try await withDownload("/bytes/300000") { download, file in
            // Longer than the half, and wrong where the half ends: only the rest may come from the server.
            try Data(WebServer.content(1000)).write(to: URL(filePath: file))
            download.resume = HTTPValidator("\"one\"")
            download.onStart = { start in starts.withLock { $0.append(start) } }
        } _: { result, file, requests in
            let got = try result.get()
            #expect(got.resumedFrom == 1000)
            #expect(file == WebServer.content(Self.size))
            #expect(requests.map { $0.headers["Range"] } == ["bytes=1000-"])
        }
        let start = try #require(starts.withLock { $0 }.first)
        #expect(start.offset == 1000)
        #expect(start.total == 300_000)
        #expect(start.validator == HTTPValidator("\"one\""))
    }

    @Test func whatIsThereAlreadyIsNotFetchedAgain() async throws {
        try await withDownload("/bytes/300000") { download, file in
            try Data(WebServer.content(Self.size)).write(to: URL(filePath: file))
            download.resume = HTTPValidator("\"one\"")
        } _: { result, file, _ in
            let got = try result.get()
            #expect(got.resumedFrom == 300_000)
            #expect(file == WebServer.content(Self.size))
        }
    }

    @Test func moreThanThereCanBeIsThrownAway() async throws {
        try await withDownload("/bytes/300000") { download, file in
            try Data(WebServer.content(Self.size + 1)).write(to: URL(filePath: file))
            download.resume = HTTPValidator("\"one\"")
        } _: { result, file, _ in
            let got = try result.get()
            #expect(got.resumedFrom == 0)
            #expect(file == WebServer.content(Self.size))
        }
    }

    @Test func aWrongLengthIsAnErrorAfterAllTries() async throws {
        try await withDownload("/short/1") { download, _ in
            download.attempts = 2
        } _: { result, _, requests in
            #expect(throws: HTTPError.self) { try result.get() }
            #expect(requests.count == 2)
        }
    }

    @Test func limitsHold() async throws {
        for path in ["/bytes/300000", "/endless", "/until-close/300000"] {
            try await withDownload(path) { download, _ in
                download.maximumBytes = 200_000
            } _: { result, file, _ in
                #expect(result.failure?.code == .tooLarge, "\(path)")
                #expect(file.count <= 200_000)
            }
        }
        try await withDownload("/bytes/300000") { download, _ in
            download.reserveBytes = 1 << 60
        } _: { result, file, _ in
            #expect(result.failure?.code == .noSpace)
            #expect(file.isEmpty)
        }
    }

    @Test func anEndThatNothingMarksIsReported() async throws {
        try await withDownload("/until-close/300000") { result, file, _ in
            let got = try result.get()
            #expect(!got.hasCertainEnd)
            #expect(file.count == Self.size)
        }
    }

    @Test func errorsAreNotWrittenIntoTheFile() async throws {
        try await withDownload("/status/404") { result, file, requests in
            #expect(result.failure?.code == .status)
            #expect(result.failure?.status == 404)
            #expect(result.failure?.isRetriable == false)
            #expect(file.isEmpty)
            #expect(requests.count == 1)
        }
        try await withDownload("/loop") { result, file, _ in
            #expect(result.failure?.code == .redirect)
            #expect(file.isEmpty)
        }
    }

    @Test func cancellationLeavesWhatHasCome() async throws {
        try await withTemporaryDirectory { directory in
            try await WebServer.run { server in
                let client = try HTTPClient(logger: quiet)
                let file = directory + "/file"
                let download = HTTPDownload(try request(server.url("/held/300000/100000")), to: file)
                let task = Task { try await client.download(download) }
                try await eventually { ((try? bytes(file)) ?? []).count == 100_000 }
                task.cancel()
                #expect(await code { _ = try await task.value } == .cancelled)
                #expect(try bytes(file) == WebServer.content(100_000))
            }
        }
    }

    @Test func aLinkInPlaceOfTheFileIsRefused() async throws {
        try await withDownload("/bytes/300000") { _, file in
            try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/tmp/vmops-not-there")
        } _: { result, _, _ in
            #expect(result.failure?.code == .file)
        }
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
