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
            (1...31).contains(day), (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        var moment = tm()
        (moment.tm_year, moment.tm_mon, moment.tm_mday) = (Int32(year - 1900), Int32(month - 1), Int32(day))
        return Int64(timegm(&moment)) + hour * 3600 + minute * 60 + second
    }
}
