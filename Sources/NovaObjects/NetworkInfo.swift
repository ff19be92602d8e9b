import JSONCodec
package import Support

/// Attributes that hold JSON inside a string (Nova's compute RPC, section 3.1).
package enum NetworkInfo {
    /// The VIFs of `InstanceInfoCache.network_info`.
    package static func list(_ value: JSONValue) throws(NovaObjectError) -> [JSONValue] {
        guard case .string(let text) = value else {
            throw NovaObjectError(.attribute, "network_info must be a string, and is \(value.typeName)")
        }
        do {
            guard let list = try JSONReader.read(text.utf8.span).arrayValue else {
                throw NovaObjectError(.attribute, "network_info holds no list")
            }
            return list
        } catch {
            throw (error as? NovaObjectError) ?? NovaObjectError(.attribute, "network_info is no JSON: \(error)")
        }
    }

    /// A value as the text that such an attribute holds.
    package static func text(_ value: JSONValue) throws(NovaObjectError) -> String {
        do {
            return String(decoding: try JSONWriter.bytes(of: value), as: UTF8.self)
        } catch {
            throw NovaObjectError(.attribute, "a value has no JSON form: \(error)")
        }
    }
}
