import Foundation

/// The disks in an instance's directory.
package enum InstanceDisks {
    /// How large a guest sees its root disk, raw or qcow2, in bytes.
    package static func rootSize(in directory: String) throws -> Int {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
        guard let name = names.first(where: { $0.hasPrefix("root.") }) else {
            throw ConditionNotMet(description: "no root disk in \(directory): \(names)")
        }
        let path = directory + "/" + name
        guard name.hasSuffix(".qcow2") else {
            return try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
        }
        return try Data(contentsOf: URL(filePath: path)).prefix(32)[24..<32].reduce(0) { $0 << 8 | Int($1) }
    }
}
