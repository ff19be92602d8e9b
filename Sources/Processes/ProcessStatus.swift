import Glibc
import Support

/// What `/proc/<pid>/stat` says of a process.
struct ProcessStatus: Sendable, Hashable {
    /// One letter, as `S` or `Z`.
    let state: Character
    /// In clock ticks since the machine's start.
    let startTime: UInt64

    /// `nil` if there is no such process or the text is none of the kernel's.
    init?(pid: Int32) {
        guard let text = Self.text("/proc/\(pid)/stat") else { return nil }
        self.init(stat: text)
    }

    /// Reads the line; the program's name in it may hold blanks and parentheses, so fields count from the last `)`.
    init?(stat text: String) {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 19, let state = fields[0].first, let startTime = UInt64(fields[19]) else { return nil }
        self.state = state
        self.startTime = startTime
    }

    /// A zombie has ended, though it is listed until its parent asks.
    var hasEnded: Bool { state == "Z" || state == "X" || state == "x" }

    private static func text(_ path: String) -> String? {
        // procfs never waits for a disk, so this may run on any thread.
        guard let file = try? ReactorFile.reading(path) ?? nil else { return nil }
        guard let bytes = try? file.read(at: 0, count: 4096) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension ProcessIdentity {
    /// The process that has this pid now; `nil` if none has.
    package init?(running pid: Int32) {
        guard let status = ProcessStatus(pid: pid), !status.hasEnded else { return nil }
        self.init(pid: pid, startTime: status.startTime)
    }
}
