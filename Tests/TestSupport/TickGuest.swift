import Foundation
import Support

/// The tiny guest that most tests with a real machine boot; `Tests/Guests/README.md` says what it prints and does.
package enum TickGuest {
    /// The smallest disk that boots everywhere.
    package static let smallestDisk = 512 << 10

    /// Its program as the first bytes of a disk.
    package static func program() throws -> [UInt8] {
        let text = try String(contentsOf: Checkout.root.appending(path: "Tests/Guests/tickguest.b64"), encoding: .utf8)
        guard let bytes = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
            throw ConditionNotMet(description: "Tests/Guests/tickguest.b64 is no base64")
        }
        return Array(bytes)
    }

    /// Writes a raw disk of `size` bytes, a multiple of 512, that boots it.
    package static func writeDisk(_ path: String, size: Int = 1 << 20) throws {
        precondition(size >= smallestDisk && size.isMultiple(of: 512))
        try Data(program()).write(to: URL(filePath: path))
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        try file.truncate(atOffset: UInt64(size))
    }

    /// What a line of it says, without number and line end; `nil` for text that is no line of the guest.
    package static func text(of line: some StringProtocol) -> (number: Int, text: String)? {
        guard line.hasPrefix("["), let end = line.firstIndex(of: "]") else { return nil }
        guard let number = Int(line[line.index(after: line.startIndex)..<end], radix: 16) else { return nil }
        return (number, line[line.index(after: end)...].trimmingCharacters(in: .whitespacesAndNewlines))
    }
}
