import Foundation
import JSONCodec
import Support
import TestSupport

/// A message captured between Nova's own client and a compute service.
struct NovaVector: Sendable, CustomStringConvertible {
    let release: String
    let name: String
    /// The inner message.
    let message: JSONValue

    var description: String { "\(release)/\(name)" }
    var args: JSONObject { message["args"]?.objectValue ?? [:] }

    static let all: [NovaVector] = {
        do {
            return try load()
        } catch {
            return []
        }
    }()

    private static func load() throws -> [NovaVector] {
        let root = Checkout.root.appending(path: "Tests/TestSupport/Vectors/nova")
        return try FileManager.default.contentsOfDirectory(atPath: root.path).sorted().flatMap { release in
            let folder = root.appending(path: release)
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { file in
                let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
                let body = try JSONReader.read(text.utf8.span)["body"]?.stringValue ?? ""
                let inner = try JSONReader.read(body.utf8.span)["oslo.message"]?.stringValue ?? ""
                return NovaVector(
                    release: release,
                    name: String(file.dropLast(".json".count)),
                    message: try JSONReader.read(inner.utf8.span)
                )
            }
        }
    }

    /// The one of that name, as `hyperv-03-live_migration.request`.
    static func named(_ name: String, _ release: String = "rpc-hibiscus-34.0.0") -> NovaVector? {
        all.first { $0.name == name && $0.release == release }
    }
}
