import JSONCodec
import Support
import Synchronization

/// One line of a plugin's standard error (plugin protocol, section 1).
package struct PluginLogLine: Sendable, Hashable {
    package enum Level: String, Sendable { case debug, info, warning, error }

    /// The longest line that is kept, in bytes.
    package static let maximumBytes = 4096

    package var level: Level
    /// Without control characters.
    package var message: String
    package var fields: [String: String]

    package init(level: Level, message: String, fields: [String: String] = [:]) {
        self.level = level
        self.message = message
        self.fields = fields
    }

    package init(_ line: [UInt8]) {
        let text = String(decoding: line, as: UTF8.self)
        guard line.first == UInt8(ascii: "{"), let object = try? PluginFrame.object(of: line),
            let message = object["message"]?.stringValue
        else {
            self.init(level: .info, message: PluginText.escaped(text, limit: Self.maximumBytes))
            return
        }
        self.init(
            level: object["level"]?.stringValue.flatMap(Level.init(rawValue:)) ?? .info,
            message: PluginText.escaped(message, limit: Self.maximumBytes)
        )
        for (key, value) in object.prefix(32) where key != "level" && key != "message" {
            let text =
                value.stringValue ?? (try? JSONWriter.bytes(of: value)).map { String(decoding: $0, as: UTF8.self) }
            fields[PluginText.escaped(key, limit: 64)] = PluginText.escaped(text ?? "", limit: 512)
        }
    }
}

/// Cuts a plugin's standard error into lines.
///
/// At most ``linesPerSecond`` are handed on; the others are counted, and the count is said once the second is over.
final class PluginLogReader: PluginChannelReceiver {
    static let linesPerSecond = 200

    private struct State {
        var line: [UInt8] = []
        var isCut = false
        var second = ContinuousClock.now
        var lines = 0
        var dropped = 0
        var isOver = false
    }

    private let state = Mutex(State())
    private let take: @Sendable (PluginLogLine) -> Void

    init(_ take: @escaping @Sendable (PluginLogLine) -> Void) { self.take = take }

    func received(_ bytes: [UInt8]) -> Duration? {
        let lines = state.withLock { state -> [PluginLogLine] in
            var lines: [PluginLogLine] = []
            for byte in bytes {
                if byte == UInt8(ascii: "\n") {
                    Self.finish(&state, &lines)
                } else if state.line.count < PluginLogLine.maximumBytes {
                    state.line.append(byte)
                } else {
                    state.isCut = true
                }
            }
            return lines
        }
        for line in lines { take(line) }
        return nil
    }

    /// Whether all of it was read.
    var isOver: Bool { state.withLock { $0.isOver } }

    func ended(_ error: SystemCallError?) {
        let lines = state.withLock { state in
            var lines: [PluginLogLine] = []
            if !state.line.isEmpty { Self.finish(&state, &lines) }
            Self.tellDropped(&state, &lines)
            state.isOver = true
            return lines
        }
        for line in lines { take(line) }
    }

    private static func finish(_ state: inout State, _ lines: inout [PluginLogLine]) {
        defer {
            state.line.removeAll(keepingCapacity: true)
            state.isCut = false
        }
        guard !state.line.isEmpty else { return }
        let now = ContinuousClock.now
        if now - state.second >= .seconds(1) {
            tellDropped(&state, &lines)
            state.second = now
            state.lines = 0
        }
        state.lines += 1
        guard state.lines <= linesPerSecond else {
            state.dropped += 1
            return
        }
        var line = PluginLogLine(state.line)
        if state.isCut { line.message += "…" }
        lines.append(line)
    }

    private static func tellDropped(_ state: inout State, _ lines: inout [PluginLogLine]) {
        guard state.dropped > 0 else { return }
        lines.append(PluginLogLine(level: .warning, message: "\(state.dropped) lines were left out: too many at once"))
        state.dropped = 0
    }
}
