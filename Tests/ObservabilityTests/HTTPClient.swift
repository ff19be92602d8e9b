import Glibc

@testable import Observability

/// Sends raw bytes to a server and reads until it closes.
enum HTTPClient {
    struct Answer: Equatable {
        var status: Int
        var headers: [String: String]
        var body: String
    }

    static func request(_ method: String, _ path: String, at address: AdminAddress, body: String = "") throws -> Answer
    {
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        let head = "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(length)\r\n"
        let text = try exchange(head + body, at: address)
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let lines = parts[0].split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let pair = line.split(separator: ":", maxSplits: 1)
            headers[pair[0].lowercased()] = pair[1].trimmingPrefix(" ").description
        }
        let status = lines.first.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Int($0) } ?? 0
        return Answer(status: status, headers: headers, body: parts.count > 1 ? String(parts[1]) : "")
    }

    static func exchange(_ text: String, at address: AdminAddress, thenEnd: Bool = false) throws -> String {
        let resolved = try ResolvedAddress(address)
        let descriptor = socket(resolved.family, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        guard resolved.withPointer({ connect(descriptor, $0, $1) }) == 0 else {
            throw ObservabilityError(.address, "cannot connect: \(errno)")
        }
        let bytes = Array(text.utf8)
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        if thenEnd { shutdown(descriptor, Int32(SHUT_WR)) }
        var all: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &block, block.count, 0)
            guard count > 0 else { return String(decoding: all, as: UTF8.self) }
            all += block.prefix(count)
        }
    }
}
