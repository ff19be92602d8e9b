import Foundation
import TestSupport

/// The QEMU of this machine, and its processes.
enum QEMU {
    /// Running QEMU processes whose command line names `uuid`.
    static func processes(uuid: String) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { id in
            guard let data = FileManager.default.contents(atPath: "/proc/\(id)/cmdline"), !data.isEmpty else {
                return false
            }
            let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.contains { $0.hasSuffix("qemu-system-x86_64") } && words.contains(uuid)
        }
    }
}

/// What the small guest prints: lines that are numbered from each boot on.
enum Ticks {
    /// The boots in a console's text, each with its lines' numbers.
    ///
    /// - Throws: ``ConditionNotMet`` for a line that does not begin with its number, the last one excepted.
    static func boots(_ text: String) throws -> [[Int]] {
        var boots: [[Int]] = []
        let lines = text.components(separatedBy: "\r\n")
        for line in lines.dropLast() where !line.isEmpty {
            guard line.hasPrefix("["), let close = line.firstIndex(of: "]"),
                let number = Int(line[line.index(after: line.startIndex)..<close], radix: 16)
            else { throw ConditionNotMet(description: "the console shows '\(line)'") }
            if number == 0 { boots.append([]) }
            guard !boots.isEmpty else { throw ConditionNotMet(description: "the first line is number \(number)") }
            boots[boots.count - 1].append(number)
        }
        return boots
    }

    /// - Throws: ``ConditionNotMet`` unless every boot's lines are numbered without gap and repetition.
    static func check(_ text: String, boots expected: Int) throws {
        let boots = try boots(text)
        guard boots.count == expected else {
            throw ConditionNotMet(description: "\(boots.count) boots, not \(expected):\n\(text.suffix(2_000))")
        }
        for numbers in boots {
            for (index, number) in numbers.enumerated() where number != index {
                throw ConditionNotMet(description: "line \(number) where \(index) was due:\n\(text.suffix(2_000))")
            }
        }
    }
}
