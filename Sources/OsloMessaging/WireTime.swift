import Glibc

/// A moment in UTC, to the microsecond, in the forms that messages carry.
package struct WireTime: Sendable, Hashable {
    package let seconds: Int64
    package let microseconds: Int

    /// - Parameters:
    ///   - seconds: since 1970-01-01.
    ///   - microseconds: 0 to 999999.
    package init(seconds: Int64, microseconds: Int) {
        self.seconds = seconds
        self.microseconds = microseconds
    }

    /// The system's clock.
    package static func now() -> WireTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WireTime(seconds: Int64(time.tv_sec), microseconds: time.tv_nsec / 1000)
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff`, without the fraction when it is 0 (oslo.messaging wire, section 12).
    package var notification: String {
        text(separator: " ", fraction: microseconds != 0)
    }

    /// `YYYY-MM-DDTHH:MM:SS.ffffff`, the only form that Nova's contexts take (oslo.messaging wire, section 17).
    package var context: String {
        text(separator: "T", fraction: true)
    }

    private func text(separator: String, fraction: Bool) -> String {
        let days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400
        let second = seconds - days * 86400
        let (year, month, day) = Self.date(days)
        let clock = [second / 3600, second / 60 % 60, second % 60].map { Self.padded($0, 2) }.joined(separator: ":")
        let date = "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))"
        return date + separator + clock + (fraction ? "." + Self.padded(Int64(microseconds), 6) : "")
    }

    /// The Gregorian date of a day counted from 1970-01-01, by eras of 400 years that begin on the first of March.
    private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}
