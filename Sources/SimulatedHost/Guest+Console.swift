extension Guest {
    private static let bootNanosecondsPerMillisecond: UInt64 = 1_000_000

    // MARK: Output

    private var isSilent: Bool { behaviour.consoleMode == .silent }

    mutating func printBootLog() {
        switch behaviour.consoleMode {
        case .silent: return
        case .binary: output.enqueue(.blocks(16))
        case .text, .flood, .disconnect:
            let fresh = output.isAtLineStart ? "" : "\n"
            output.enqueue(.bytes(Array("\(fresh)[    0.000000] Simulated kernel of \(name) starts\n".utf8)))
            if behaviour.bootLines > 0 { output.enqueue(.bootLog(next: 1, last: behaviour.bootLines)) }
        }
    }

    mutating func printPrompt() {
        printLater("\(output.isAtLineStart || !output.generators.isEmpty ? "" : "\n")\(name) login: ")
    }

    /// Printed at once, for text after which the machine stops: what was still to be printed is lost with it.
    mutating func printNow(_ text: String) {
        guard !isSilent, behaviour.consoleMode != .binary else { return }
        // A flood is cut at a line's end; texts that are nearly out go out.
        output.fill()
        output.cutOff()
        output.append(Array(((output.isAtLineStart ? "" : "\n") + text).utf8))
    }

    /// Printed in its turn.
    private mutating func printLater(_ text: String) {
        guard !isSilent, behaviour.consoleMode != .binary else { return }
        output.enqueue(.bytes(Array(text.utf8)))
    }

    /// Point of the guest's time at which the next numbered line is due.
    func nextTick() -> UInt64? {
        guard behaviour.linesPerSecond > 0, behaviour.consoleMode != .silent, behaviour.consoleMode != .flood else {
            return nil
        }
        let start = behaviour.bootMilliseconds * Self.bootNanosecondsPerMillisecond
        return start + UInt64(Double(ticks + 1) * 1e9 / behaviour.linesPerSecond)
    }

    /// How many numbered lines the guest has come to since boot at this point of its time.
    func ticksDue(at time: UInt64) -> UInt64 {
        let start = behaviour.bootMilliseconds * Self.bootNanosecondsPerMillisecond
        guard behaviour.linesPerSecond > 0, time > start else { return 0 }
        // The same rounding as in `nextTick`, so that a line is due exactly when its time has come.
        var due = UInt64(Double(time - start) * behaviour.linesPerSecond / 1e9)
        while UInt64(Double(due + 1) * 1e9 / behaviour.linesPerSecond) <= time - start { due += 1 }
        return due
    }

    mutating func printTicks(until time: UInt64) {
        guard nextTick() != nil else { return }
        let due = ticksDue(at: time)
        guard due > ticks else { return }
        let numbers = (ticks + 1)...due
        ticks = due
        if behaviour.consoleMode == .binary {
            output.enqueue(.blocks(UInt64(numbers.count)))
        } else if !output.generators.isEmpty || numbers.count > 1000 {
            output.enqueue(.lines(next: numbers.lowerBound, last: due, length: behaviour.lineBytes))
        } else {
            var text: [UInt8] = output.isAtLineStart ? [] : [UInt8(ascii: "\n")]
            for number in numbers { ConsoleOutput.appendLine(number, behaviour.lineBytes, to: &text) }
            output.append(text)
        }
    }

    // MARK: Input

    /// Takes what was typed: echoes it, and runs each line that is complete. A line longer than 1,024 bytes is cut.
    mutating func type(_ bytes: [UInt8], at now: UInt64) {
        if power == .paused {
            typedAhead.append(contentsOf: bytes.prefix(Self.inputLimit - typedAhead.count))
            return
        }
        var echo: [UInt8] = []
        for byte in bytes {
            guard power == .running else { return }
            switch byte {
            case UInt8(ascii: "\r"), UInt8(ascii: "\n"):
                echo.append(UInt8(ascii: "\n"))
                printLater(String(decoding: echo, as: UTF8.self))
                echo = []
                let line = String(decoding: inputLine, as: UTF8.self)
                inputLine = []
                run(line, at: now)
            case 0x7F, 0x08:
                if inputLine.popLast() != nil { echo += [0x08, UInt8(ascii: " "), 0x08] }
            default:
                guard inputLine.count < Self.inputLimit else { continue }
                inputLine.append(byte)
                echo.append(byte)
            }
        }
        if !echo.isEmpty, !isSilent, behaviour.consoleMode != .binary { output.enqueue(.bytes(echo)) }
    }

    private mutating func run(_ line: String, at now: UInt64) {
        let words = line.split(whereSeparator: \.isWhitespace)
        switch (words.first, words.count) {
        case (nil, _): break
        case ("lines", 2):
            guard let count = UInt64(words[1]), count <= 1_000_000_000 else { return complain(words[1]) }
            if count > 0, !isSilent, behaviour.consoleMode != .binary {
                output.enqueue(.lines(next: 1, last: count, length: behaviour.lineBytes))
            }
        case ("uptime", 1):
            printLater("up \(uptime(at: now) / 1_000_000_000) s, boot \(boots)\n")
        case ("echo", _):
            printLater(words.dropFirst().joined(separator: " ") + "\n")
        case ("crash", 1): return crash(at: now)
        case ("poweroff", 1): return guestPowerOff(at: now)
        case ("reboot", 1): return guestReboot(at: now)
        case ("help", 1):
            printLater("lines N, uptime, echo TEXT, crash, poweroff, reboot\n")
        default:
            return complain(words[0])
        }
        printPrompt()
    }

    private mutating func complain(_ word: Substring) {
        printLater("unknown: \(word)\n")
        printPrompt()
    }
}
