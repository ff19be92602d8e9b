import Support

/// What the network service did not let go of when a boot or an attachment had come to nothing: kept in files, one for
/// each owner of ports, until it is gone. At most ``limit`` of them; what more there is stays as it is.
package struct LeftPorts: Sendable {
    /// Ports that stayed, by what they say of themselves.
    struct Entry: Sendable, Hashable {
        /// Their `device_id`: the instance, or the request that was about to attach one.
        var device: String
        var instance: String
        /// Those that users had made, which are given back rather than removed.
        var given: Set<String>
    }

    enum Failure: Error {
        case full
        case strangeName(String)
    }

    static let limit = 1024
    private static let longestFile = 1 << 16

    private let path: String

    /// - Parameter path: a directory of the host's, made when there is the first to be kept.
    package init(path: String) { self.path = path }

    /// Keeps an entry durably, in place of an earlier one of the same owner.
    ///
    /// - Throws: ``Failure``, `SystemCallError`.
    func keep(_ entry: Entry) async throws {
        let (directory, file) = (path, try file(entry.device))
        let text = ([entry.instance] + entry.given.sorted()).joined(separator: "\n") + "\n"
        try await BlockingPool.shared.run {
            try ReactorDirectory.make(directory)
            let isNew = try ReactorDirectory.facts(file) == nil
            if isNew, try ReactorDirectory.names(directory)?.count ?? 0 >= Self.limit { throw Failure.full }
            try DurableFile.replace(file, with: text)
        }
    }

    /// What is kept. Files that are none of these are left alone.
    func all() async throws -> [Entry] {
        let path = path
        return try await BlockingPool.shared.run {
            var entries: [Entry] = []
            for device in (try ReactorDirectory.names(path) ?? []).sorted() where Self.isName(device) {
                let file = try ReactorFile.reading(path + "/" + device)
                guard let bytes = try file?.read(at: 0, count: Self.longestFile) else { continue }
                let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
                guard let instance = lines.first else { continue }
                entries.append(Entry(device: device, instance: instance, given: Set(lines.dropFirst())))
            }
            return entries
        }
    }

    func drop(_ entry: Entry) async throws {
        let file = try file(entry.device)
        try await BlockingPool.shared.run { try ReactorDirectory.removeFile(file) }
    }

    private func file(_ device: String) throws -> String {
        guard Self.isName(device) else { throw Failure.strangeName(device) }
        return path + "/" + device
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 128
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
