import Glibc

/// Gives back memory that holds code which only the start of the process needed.
///
/// A start goes once through much more code, the runtime's and the libraries', than serving does. The pages stay in the
/// system's cache of files; what is needed again is mapped again, for a fraction of a microsecond each.
package enum ResidentCode {
    private static let path = "/proc/self/maps"
    private static let block = 64 << 10

    /// Unmaps the code of all files that were loaded, to be mapped again as it runs. Reads one file of `/proc` and
    /// waits for nothing else; does nothing where there is none.
    ///
    /// - Returns: the bytes of address space it was about.
    @discardableResult
    package static func giveBack() -> Int {
        var total = 0
        for (start, end) in mappings(of: maps()) {
            guard let address = UnsafeMutableRawPointer(bitPattern: start) else { continue }
            // Code is never written, so its pages are those of the file and dropping them loses nothing.
            if madvise(address, Int(end - start), MADV_DONTNEED) == 0 { total += Int(end - start) }
        }
        return total
    }

    /// The private mappings that run and cannot be written, of files: `7f1c00000000-7f1c00010000 r-xp … /usr/lib/…`.
    static func mappings(of maps: [UInt8]) -> [(start: UInt, end: UInt)] {
        var found: [(start: UInt, end: UInt)] = []
        for line in maps.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count == 6, fields[1].elementsEqual("r-xp".utf8),
                fields[5].drop(while: { $0 == UInt8(ascii: " ") }).first == UInt8(ascii: "/")
            else { continue }
            let range = fields[0].split(separator: UInt8(ascii: "-"))
            guard range.count == 2, let start = UInt(String(decoding: range[0], as: UTF8.self), radix: 16),
                let end = UInt(String(decoding: range[1], as: UTF8.self), radix: 16), start < end
            else { continue }
            found.append((start, end))
        }
        return found
    }

    private static func maps() -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: block)
        while true {
            let count = read(descriptor, &buffer, block)
            guard count > 0 else { return content }
            content += buffer[..<count]
        }
    }
}
