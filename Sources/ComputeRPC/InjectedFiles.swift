import Support

/// The `injected_files` argument: pairs of a path on the guest and the content in base64, as Nova sends them.
package enum InjectedFiles {
    private static let most = 256

    package static func list(_ field: Field?) throws -> [(path: String, content: [UInt8])] {
        guard let field else { return [] }
        let list = try field.list()
        guard list.count <= most else {
            throw field.invalid("has more than \(most) entries")
        }
        return try list.map { entry in
            let pair = try entry.list()
            guard pair.count == 2 else { throw entry.invalid("must be a pair of path and content") }
            guard let content = Base64.decode(try pair[1].string(limit: 1 << 20)) else {
                throw pair[1].invalid("is not base64")
            }
            let path = try pair[0].string(limit: 4096)
            guard path.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
                throw pair[0].invalid("has a control character")
            }
            return (path, content)
        }
    }
}
