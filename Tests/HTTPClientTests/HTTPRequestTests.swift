import Foundation
import HTTPClient
import Support
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct HTTPRequestTests {
    @Test func methodHeadersAndBodyArriveAndTheConnectionIsUsedAgain() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            var ports: Set<Int> = []
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                var request = try request(method, server.url("/echo?x=1"))
                request.headers = [HTTPHeader("X-Auth-Token", "abc"), HTTPHeader("X-Empty", "")]
                if method != "GET", method != "DELETE" { request.body = Array("text of \(method)".utf8) }
                let response = try await client.send(request)
                #expect(response.status == 200)
                #expect(response.head["content-type"] == "application/json")
                let said = try json(response)
                let headers = said["headers"] as? [String: String] ?? [:]
                #expect(said["method"] as? String == method)
                #expect(headers["X-Auth-Token"] == "abc")
                #expect(headers["X-Empty"] == "")
                #expect(headers["Expect"] == nil)
                #expect(said["body"] as? String == (request.body == nil ? "" : "text of \(method)"))
                if let port = said["client"] as? Int { ports.insert(port) }
            }
            #expect(ports.count == 1)
        }
    }

    @Test func anEmptyBodyIsSentAsSuch() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            var request = try request("POST", server.url("/echo"))
            request.body = []
            let headers = try json(try await client.send(request))["headers"] as? [String: String]
            #expect(headers?["Content-Length"] == "0")
        }
    }

    @Test func statusesAreAnswersAndNotErrors() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            for status in [200, 404, 409, 500, 503] {
                let response = try await client.send(try request(server.url("/status/\(status)")))
                #expect(response.status == status)
                #expect(response.body == Array("as asked for".utf8))
            }
            let head = try await client.send(try request("HEAD", server.url("/bytes/1000")))
            #expect(head.body.isEmpty)
            #expect(head.head["Content-Length"] == "1000")
        }
    }

    @Test func manyTasksSendAtOnce() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            let sizes = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...100 {
                    group.addTask {
                        try await client.send(try request(server.url("/bytes/\(number * 100)"))).body.count
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(sizes.count == 100)
        }
    }

    @Test func bodiesBeyondTheLimitEndTheExchange() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            for path in ["/bytes/2000", "/until-close/2000", "/endless"] {
                var request = try request(server.url(path))
                request.maximumBodyBytes = 1000
                #expect(await code { _ = try await client.send(request) } == .tooLarge, "\(path)")
            }
            let endlessHead = try request(server.url("/heads"))
            #expect(await code { _ = try await client.send(endlessHead) } != nil)
        }
    }

    @Test func brokenAnswersAreErrors() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            #expect(await code { _ = try await client.send(try request(server.url("/short/1000"))) } == .interrupted)
            let garbage = await code { _ = try await client.send(try request(server.url("/garbage"))) }
            // Which of the two depends on whether the end of the connection or the bytes are noticed first.
            #expect(garbage == .protocolViolation || garbage == .interrupted)
            let refused = "http://127.0.0.1:1/"
            #expect(await code { _ = try await client.send(try request(refused)) } == .unreachable)
        }
    }

    @Test func silenceEndsAtTheDeadlines() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            var total = try request(server.url("/silent"))
            total.deadlines.total = .milliseconds(50)
            #expect(await code { _ = try await client.send(total) } == .timeout)
            var stall = try request(server.url("/held/1000/10"))
            stall.deadlines.stall = .seconds(1)
            #expect(await code { _ = try await client.send(stall) } == .timeout)
        }
    }

    @Test func cancellationEndsTheExchange() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            let task = Task { try await client.send(try request(server.url("/silent"))) }
            try await eventually { try await server.requests().count == 1 }
            task.cancel()
            #expect(await code { _ = try await task.value } == .cancelled)
            // One that is cancelled before it begins, too.
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await client.send(try request(server.url("/silent")))
            }
            #expect(await code { _ = try await early.value } == .cancelled)
        }
    }

    @Test func headersThatCouldEndALineAreRefused() async throws {
        let client = try HTTPClient(logger: quiet)
        var request = try request("http://127.0.0.1:1/")
        request.headers = [HTTPHeader("X-A", "1\r\nX-B: 2")]
        #expect(await code { _ = try await client.send(request) } == .invalidRequest)
        request.headers = [HTTPHeader("X A", "1")]
        #expect(await code { _ = try await client.send(request) } == .invalidRequest)
        request.headers = []
        request.method = "GET /x"
        #expect(await code { _ = try await client.send(request) } == .invalidRequest)
    }

    // MARK: Redirects

    @Test func redirectsAreFollowedWithinBounds() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            let response = try await client.send(try request(server.url("/redirect?/bytes/10")))
            #expect(response.body == WebServer.content(10))
            #expect(response.url.path == "/bytes/10")
            #expect(await code { _ = try await client.send(try request(server.url("/loop"))) } == .redirect)
            #expect(try await server.requests().filter { $0.path == "/loop" }.count == 6)
            for target in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://bad%20host/"] {
                let url = server.url("/redirect?\(target)")
                #expect(await code { _ = try await client.send(try request(url)) } == .redirect, "\(target)")
            }
            var picky = try request(server.url("/redirect?/echo"))
            picky.mayFollow = { $0.path != "/echo" }
            #expect(await code { _ = try await client.send(picky) } == .redirect)
            picky.maximumRedirects = 0
            #expect(try await client.send(picky).status == 302)
        }
    }

    @Test func credentialsGoToTheirOriginAlone() async throws {
        try await WebServer.run { server in
            let client = try HTTPClient(logger: quiet)
            let host = "user:geheim@127.0.0.1"
            let direct = try await client.send(try request(server.url("/echo", host: host)))
            let expected = "Basic " + Data("user:geheim".utf8).base64EncodedString()
            #expect((try json(direct)["headers"] as? [String: String])?["Authorization"] == expected)
            // Another name of the same server is another origin.
            var away = try request(server.url("/redirect?" + server.url("/echo", host: "localhost"), host: host))
            away.headers = [HTTPHeader("X-Auth-Token", "abc")]
            let headers = try json(try await client.send(away))["headers"] as? [String: String]
            #expect(headers?["Authorization"] == nil)
            #expect(headers?["X-Auth-Token"] == nil)
            let back = try await client.send(try request(server.url("/redirect?/echo", host: host)))
            #expect((try json(back)["headers"] as? [String: String])?["Authorization"] == expected)
        }
    }

    // MARK: TLS and proxies

    @Test func serversMustHaveATrustedCertificateForTheirName() async throws {
        try await withTemporaryDirectory { directory in
            let certificates = directory + "/tls"
            try await WebServer.makeCertificates(in: certificates)
            try await WebServer.run(certificates: certificates) { server in
                let target = try request(server.url("/bytes/10"))
                let trusting = try HTTPClient(settings: HTTPSettings(caFile: certificates + "/ca.pem"), logger: quiet)
                #expect(try await trusting.send(target).status == 200)
                let system = try HTTPClient(logger: quiet)
                #expect(await code { _ = try await system.send(target) } == .tls)
                let other = HTTPSettings(caFile: certificates + "/other-ca.pem")
                let wrong = try HTTPClient(settings: other, logger: quiet)
                #expect(await code { _ = try await wrong.send(target) } == .tls)
                let careless = try HTTPClient(settings: HTTPSettings(verifiesPeers: false), logger: quiet)
                #expect(try await careless.send(target).status == 200)
                // The way down from https is closed, whoever asks for it.
                let down = try request(server.url("/redirect?http://127.0.0.1:1/"))
                #expect(await code { _ = try await trusting.send(down) } == .redirect)
            }
        }
    }

    @Test func ourCertificateIsShown() async throws {
        try await withTemporaryDirectory { directory in
            let certificates = directory + "/tls"
            try await WebServer.makeCertificates(in: certificates)
            try await WebServer.run(certificates: certificates, asksForCertificate: true) { server in
                let target = try request(server.url("/bytes/10"))
                var settings = HTTPSettings(caFile: certificates + "/ca.pem")
                let nameless = try HTTPClient(settings: settings, logger: quiet)
                #expect(await code { _ = try await nameless.send(target) } != nil)
                settings.certificateFile = certificates + "/client.pem"
                settings.keyFile = certificates + "/client.key"
                let known = try HTTPClient(settings: settings, logger: quiet)
                #expect(try await known.send(target).status == 200)
            }
        }
    }

    @Test func aProxyIsUsedWhenItIsConfigured() async throws {
        try await WebServer.run { proxy in
            let settings = HTTPSettings(proxy: proxy.url("/"))
            let client = try HTTPClient(settings: settings, logger: quiet)
            _ = try await client.send(try request("http://nowhere.invalid/bytes/10"))
            #expect(try await proxy.requests().map(\.path) == ["http://nowhere.invalid/bytes/10"])
        }
    }
}
