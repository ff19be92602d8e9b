import CSystemShims
import Glibc

/// A short text that goes with a file wherever it is linked or renamed to: an extended attribute. On a file system
/// that has none, nothing is kept.
package enum FileMark {
    private static let attribute = "user.vmops.mark"
    private static let longest = 256

    /// Blocks.
    package static func put(_ text: String, on path: String) {
        let bytes = Array(text.utf8.prefix(longest))
        _ = setxattr(path, attribute, bytes, bytes.count, 0)
    }

    /// The text; `nil` when there is none. Blocks.
    package static func read(_ path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: longest)
        let count = getxattr(path, attribute, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
