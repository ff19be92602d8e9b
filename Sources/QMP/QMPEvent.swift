package import Support

/// Something that QEMU reports by itself (QEMU backend, section 4).
package struct QMPEvent: Sendable, Hashable {
    /// Such as `SHUTDOWN` or `STOP`.
    package let name: String
    package let data: JSONObject
    /// When it happened by QEMU's clock, in microseconds since 1970.
    package let microseconds: Int64

    package init(name: String, data: JSONObject, microseconds: Int64) {
        self.name = name
        self.data = data
        self.microseconds = microseconds
    }
}
