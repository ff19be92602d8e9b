package import HostBackend

/// A fault that a primitive is to meet.
///
/// Text form: `WHEN WHAT [after]`, several separated by commas, the first that applies counts.
/// WHEN is `always`, `nth:N`, `first:N`, `every:N` (calls are counted from 1). WHAT is the code of a ``BackendError``
/// (`internal`, `unavailable`, `timeout`, …), `hang` (no answer until the caller cancels) or `crash` (the process is
/// killed as by `kill -9`). With `after` the primitive does its work first, and only the answer is lost.
package struct FaultRule: Sendable, Hashable {
    package enum When: Sendable, Hashable {
        case always
        case nth(UInt64)
        case first(UInt64)
        case every(UInt64)

        func applies(to call: UInt64) -> Bool {
            switch self {
            case .always: true
            case .nth(let number): call == number
            case .first(let number): call <= number
            case .every(let number): call % number == 0
            }
        }
    }

    package enum What: Sendable, Hashable {
        case fail(BackendError.Code)
        case hang
        case crash
    }

    package var when: When
    package var what: What
    package var after: Bool

    package init(when: When, what: What, after: Bool = false) {
        self.when = when
        self.what = what
        self.after = after
    }

    /// Parses the text form; throws `invalidArgument` naming the part that is wrong.
    package static func parse(_ text: String) throws(BackendError) -> [FaultRule] {
        var rules: [FaultRule] = []
        for part in text.split(separator: ",") { rules.append(try parse(rule: part)) }
        return rules
    }

    private static func parse(rule text: Substring) throws(BackendError) -> FaultRule {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2 || words.count == 3 && words[2] == "after",
            let when = when(words[0]), let what = what(words[1])
        else { throw BackendError(.invalidArgument, "not a fault rule: \(text)") }
        return FaultRule(when: when, what: what, after: words.count == 3)
    }

    private static func when(_ text: Substring) -> When? {
        if text == "always" { return .always }
        let parts = text.split(separator: ":")
        guard parts.count == 2, let number = UInt64(parts[1]), number > 0 else { return nil }
        switch parts[0] {
        case "nth": return .nth(number)
        case "first": return .first(number)
        case "every": return .every(number)
        default: return nil
        }
    }

    private static func what(_ text: Substring) -> What? {
        switch text {
        case "hang": .hang
        case "crash": .crash
        default: BackendError.Code(rawValue: String(text)).map { .fail($0) }
        }
    }
}

/// Faults and delays per primitive.
package struct FaultPlan: Sendable, Hashable {
    package var faults: [Primitive: [FaultRule]]
    package var delays: [Primitive: Duration]

    package init(faults: [Primitive: [FaultRule]] = [:], delays: [Primitive: Duration] = [:]) {
        self.faults = faults
        self.delays = delays
    }

    package var isEmpty: Bool { faults.isEmpty && delays.isEmpty }

    /// Takes `sim.fault.<primitive>` and `sim.delay.<primitive>_ms` from instance metadata; other keys are not its
    /// business. Throws `invalidArgument` for an unknown primitive and a bad value.
    package init(metadata: [String: String]) throws(BackendError) {
        self.init()
        for (key, value) in metadata where key.hasPrefix("sim.fault.") || key.hasPrefix("sim.delay.") {
            let isFault = key.hasPrefix("sim.fault.")
            let name = key.dropFirst("sim.fault.".count)
            guard let primitive = Primitive(name: isFault || !name.hasSuffix("_ms") ? name : name.dropLast(3)) else {
                throw BackendError(.invalidArgument, "\(key): there is no such primitive")
            }
            if isFault {
                faults[primitive] = try FaultRule.parse(value)
            } else {
                guard let milliseconds = UInt32(value) else {
                    throw BackendError(.invalidArgument, "\(key): not a number of milliseconds: \(value)")
                }
                delays[primitive] = .milliseconds(Int64(milliseconds))
            }
        }
    }
}
