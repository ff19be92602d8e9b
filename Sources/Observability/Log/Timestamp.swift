import Glibc

/// A moment of wall-clock time, in microseconds.
package struct Timestamp: Sendable, Hashable {
    package var microsecondsSince1970: Int64

    package init(microsecondsSince1970: Int64) { self.microsecondsSince1970 = microsecondsSince1970 }

    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microsecondsSince1970: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// RFC 3339 in UTC with microseconds: `2026-01-31T23:59:59.000001Z`.
    func append(to line: inout [UInt8]) {
        let (seconds, micros) = microsecondsSince1970.dividing(by: 1_000_000)
        let (days, second) = seconds.dividing(by: 86_400)
        let (year, month, day) = Self.civil(days)
        line.append(digits: year, width: 4)
        line.append(UInt8(ascii: "-"))
        line.append(digits: month, width: 2)
        line.append(UInt8(ascii: "-"))
        line.append(digits: day, width: 2)
        line.append(UInt8(ascii: "T"))
        line.append(digits: second / 3600, width: 2)
        line.append(UInt8(ascii: ":"))
        line.append(digits: second / 60 % 60, width: 2)
        line.append(UInt8(ascii: ":"))
        line.append(digits: second % 60, width: 2)
        line.append(UInt8(ascii: "."))
        line.append(digits: micros, width: 6)
        line.append(UInt8(ascii: "Z"))
    }

    /// Date of a day counted from 1970-01-01, with years that begin in March so that the leap day comes last.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + 719_468).dividing(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension Int64 {
    /// Quotient rounded down and the remainder, which is never negative.
    fileprivate func dividing(by divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension [UInt8] {
    fileprivate mutating func append(digits value: Int64, width: Int) {
        let text = String(value)
        for _ in 0..<Swift.max(0, width - text.utf8.count) { append(UInt8(ascii: "0")) }
        append(contentsOf: text.utf8)
    }
}
