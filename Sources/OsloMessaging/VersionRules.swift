/// Which versions go together (oslo.messaging wire, section 10).
package enum VersionRules {
    /// Whether a request for `requested` may run where `implemented` is; false when one of them cannot be read.
    ///
    /// Majors must be equal and the minor not larger; with equal minors the third part must not be larger either.
    /// No request fits nothing, no implementation fits everything. A client asks `compatible(implemented: cap, …)`.
    package static func compatible(implemented: String?, requested: String?) -> Bool {
        do {
            return try check(implemented: implemented, requested: requested)
        } catch {
            return false
        }
    }

    /// The same.
    ///
    /// - Throws: what Python raises for a version that cannot be read.
    package static func check(implemented: String?, requested: String?) throws(RemoteFailure) -> Bool {
        guard let implemented else { return true }
        guard let requested else { return false }
        if implemented == requested, isPlain(implemented) { return true }
        let ours = parts(implemented)
        let theirs = parts(requested)
        guard try number(theirs, 0) == number(ours, 0) else { return false }
        let (minor, ourMinor) = (try number(theirs, 1), try number(ours, 1))
        guard minor == ourMinor else { return minor < ourMinor }
        return try revision(theirs) <= revision(ours)
    }

    private static func parts(_ version: String) -> [Substring] {
        version.split(separator: ".", omittingEmptySubsequences: false)
    }

    private static func number(_ parts: [Substring], _ index: Int) throws(RemoteFailure) -> Int {
        guard index < parts.count else { throw .indexError("list index out of range") }
        guard let number = Int(parts[index]) else {
            throw .valueError("invalid literal for int() with base 10: '\(parts[index].prefix(64))'")
        }
        return number
    }

    private static func revision(_ parts: [Substring]) throws(RemoteFailure) -> Int {
        parts.count > 2 ? try number(parts, 2) : 0
    }

    /// Digits, a dot, digits: what equal versions nearly always are.
    private static func isPlain(_ version: String) -> Bool {
        var digits = 0
        var dots = 0
        for byte in version.utf8 {
            if byte == UInt8(ascii: ".") {
                guard digits > 0 else { return false }
                dots += 1
                digits = 0
            } else {
                guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { return false }
                digits += 1
            }
        }
        return dots == 1 && digits > 0
    }
}
