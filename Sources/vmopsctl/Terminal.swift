import Glibc

/// Standard output and standard error, unbuffered.
enum Terminal {
    static let isOutput = isatty(1) == 1
    static let isError = isatty(2) == 1

    static var columns: Int {
        guard let text = getenv("COLUMNS"), let number = Int(String(cString: text)), number > 0 else { return 80 }
        return number
    }

    static func print(_ text: String) { write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8), to: 1) }
    static func print(_ lines: [String]) { for line in lines { print(line) } }
    static func write(_ bytes: [UInt8]) { write(bytes, to: 1) }
    static func complain(_ text: String) { write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8), to: 2) }
    static func draw(_ text: String) { write(Array(text.utf8), to: 2) }

    /// Whatever cannot be written has no reader any more; a closed pipe ends the program by its signal.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&entry, 1, -1)
                continue
            }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Standard input to its end, at most 16 MiB.
    static func readInput() -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < 16 << 20 {
            let count = buffer.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
