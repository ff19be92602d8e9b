import Glibc
import Support

/// Standard input as it comes from the keyboard: every key at once, none with a meaning of its own, nothing echoed.
struct RawTerminal: Sendable {
    private static let mostBytes = 4096
    /// How long a read waits before it looks whether anybody still wants it.
    private static let patience: Int32 = 200

    static let isInput = isatty(0) == 1

    private let before: termios
    private let pool = BlockingPool(label: "vmopsctl.keys", width: 1)

    /// Changes the terminal until ``restore()``; `nil` if there is none.
    init?() {
        var settings = termios()
        guard tcgetattr(0, &settings) == 0 else { return nil }
        before = settings
        settings.c_iflag &= ~tcflag_t(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON)
        settings.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON | ISIG | IEXTEN)
        guard tcsetattr(0, TCSAFLUSH, &settings) == 0 else { return nil }
    }

    /// The terminal is again as it was, and so is its look, whatever the guest did to it.
    func restore() {
        // End of all attributes, cursor shown, mouse and bracketed paste off, main screen.
        Terminal.write(Array("\u{1B}[0m\u{1B}[?25h\u{1B}[?1000l\u{1B}[?2004l\u{1B}[?1049l".utf8))
        var settings = before
        _ = tcsetattr(0, TCSAFLUSH, &settings)
    }

    /// The next keys; none at the end of input or when the task is cancelled.
    func read() async throws -> [UInt8] {
        while !Task.isCancelled {
            if let bytes = try await pool.run({ Self.readSome() }) { return bytes }
        }
        return []
    }

    /// - Returns: `nil` if there was nothing.
    private static func readSome() -> [UInt8]? {
        var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        let ready = poll(&entry, 1, patience)
        if ready < 0, errno != EINTR { return [] }
        guard ready > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: mostBytes)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR || errno == EAGAIN { return nil }
        return Array(bytes[..<max(0, count)])
    }
}
