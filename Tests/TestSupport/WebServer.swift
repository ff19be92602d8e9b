import Foundation

/// A local web server that misbehaves as its paths say (`Tests/Peers/http_server.py`).
package struct WebServer: Sendable {
    /// A request that it got.
    package struct Request: Sendable {
        package var method: String
        package var path: String
        package var headers: [String: String]
    }

    private let process: LineProcess
    package let port: Int
    private let scheme: String

    /// Runs a server while `body` runs.
    ///
    /// - Parameters:
    ///   - directory: Whose files it serves below `/dir/`.
    ///   - certificates: A directory with `server.pem` and `server.key`; then it speaks HTTPS.
    ///   - asksForCertificate: Whether clients must have a certificate of `ca.pem` there.
    package static func run<Result: Sendable>(
        directory: String = ".",
        certificates: String? = nil,
        asksForCertificate: Bool = false,
        _ body: (WebServer) async throws -> Result
    ) async throws -> Result {
        var arguments = [Checkout.peers.appending(path: "http_server.py").path, "--directory", directory]
        if let certificates {
            arguments += ["--certificate", certificates + "/server.pem", "--key", certificates + "/server.key"]
            if asksForCertificate { arguments += ["--client-authority", certificates + "/ca.pem"] }
        }
        return try await LineProcess.run(
            Checkout.python,
            arguments,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"]
        ) { process in
            let hello = try object(try await process.readLine())
            guard let port = hello["port"] as? Int else { throw ConditionNotMet(description: "no port: \(hello)") }
            let server = WebServer(process: process, port: port, scheme: certificates == nil ? "http" : "https")
            return try await body(server)
        }
    }

    /// The URL of a path, which begins with `/`.
    package func url(_ path: String, host: String = "127.0.0.1") -> String { "\(scheme)://\(host):\(port)\(path)" }

    /// The requests so far.
    package func requests() async throws -> [Request] {
        let answer = try Self.object(try await process.ask(#"{"do": "log"}"#))
        return (answer["log"] as? [[String: Any]] ?? []).map { entry in
            Request(
                method: entry["method"] as? String ?? "",
                path: entry["path"] as? String ?? "",
                headers: entry["headers"] as? [String: String] ?? [:]
            )
        }
    }

    /// Lets held responses go on, now and from now on.
    package func release() async throws { _ = try await process.ask(#"{"do": "release"}"#) }

    private static func object(_ line: String) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
    }
}

extension WebServer {
    /// Makes `ca.pem`, `server.pem`, `client.pem` and `other-ca.pem`, each with its key, in a new directory.
    package static func makeCertificates(in directory: String) async throws {
        let script = "import sys; sys.path.insert(0, sys.argv[1]); import tls_files; tls_files.create(sys.argv[2])"
        _ = try await runCommand(
            Checkout.python,
            ["-B", "-c", script, Checkout.harness.path, directory]
        )
    }

    /// What the server sends for `/bytes/<count>` and its kin.
    package static func content(_ count: Int, salt: Int = 0) -> [UInt8] {
        let block = (0..<251).map { UInt8(($0 * 7 + salt) % 251) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count { bytes += block.prefix(count - bytes.count) }
        return bytes
    }
}
