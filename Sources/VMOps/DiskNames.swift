import HostBackend

/// The files of the disks that are an instance's own. A rebuild makes new ones beside those in use, so each round has
/// names that no other has.
struct DiskNames: Hashable, Sendable {
    private static let separator: Character = "-"

    /// How often the instance was rebuilt before.
    private let round: Int

    /// Those of a new instance.
    init() { round = 0 }

    /// Those that come after the ones in use.
    init(after disks: [DiskAttachment]) {
        round = 1 + (disks.filter { $0.role != .volume }.compactMap { Self.parts($0.name)?.round }.max() ?? 0)
    }

    func root(_ format: String) -> String { name("root", format) }
    func ephemeral(_ number: Int, _ format: String) -> String { name("eph\(number)", format) }
    var configDrive: String { name("configdrive", "iso") }

    private func name(_ stem: String, _ format: String) -> String {
        stem + (round == 0 ? "" : "\(Self.separator)\(round)") + "." + format
    }

    /// Whether a file is, or was about to become, a disk of an instance's own: of whatever round, complete or not.
    static func isDisk(_ name: String) -> Bool {
        guard let stem = parts(name)?.stem else { return false }
        return stem == "root" || stem == "configdrive" || (stem.hasPrefix("eph") && Int(stem.dropFirst(3)) != nil)
    }

    private static func parts(_ name: String) -> (stem: String, round: Int)? {
        let parts = name.split(separator: ".", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let words = parts[0].split(separator: separator, omittingEmptySubsequences: false)
        switch words.count {
        case 1: return (String(words[0]), 0)
        case 2: return Int(words[1]).map { (String(words[0]), $0) }
        default: return nil
        }
    }
}
