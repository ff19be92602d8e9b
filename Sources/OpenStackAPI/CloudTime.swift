import Glibc

/// Moments as cloud services write them.
package enum CloudTime {
    /// Seconds since 1970.
    package static var now: Int64 { Int64(time(nil)) }

    /// `2026-01-15T10:20:30.000000Z`, fraction and zone optional, in UTC, as seconds since 1970.
    package static func seconds(_ text: String) -> Int64? {
        let parts = text.split { "-T:.Z+ ".contains($0) }.prefix(6).map { Int64($0) }
        guard parts.count == 6, let year = parts[0], let month = parts[1], let day = parts[2], let hour = parts[3],
            let minute = parts[4], let second = parts[5], (1970...9999).contains(year), (1...12).contains(month),
            (1...31).contains(day)
        else { return nil }
        // Days of the civil calendar, the year beginning in March.
        let shifted = month > 2 ? year : year - 1
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return days * 86_400 + hour * 3600 + minute * 60 + second
    }
}
