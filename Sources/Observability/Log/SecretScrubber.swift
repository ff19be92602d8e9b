package import Logging
import Support

/// Masks secrets in what is about to be logged: values of known keys, the same keys inside text, and credentials of
/// URLs. A net below ``Redacted``, not its replacement: it knows names, not meanings.
package enum SecretScrubber {
    static let mask = "***"

    /// Keys whose values are secret, in small letters; also as the end of a longer key after `_`.
    private static let names = [
        "admin_password", "admin_pass", "adminpass", "password", "passwd", "auth_token", "token", "secret",
        "injected_files", "private_key", "new_pass",
    ]

    package static func scrub(_ metadata: Logger.Metadata) -> Logger.Metadata {
        var result = metadata
        for (key, value) in metadata { result[key] = isSecret(key) ? .string(mask) : scrub(value) }
        return result
    }

    package static func scrub(_ value: Logger.MetadataValue) -> Logger.MetadataValue {
        switch value {
        case .string(let text): .string(scrub(text))
        case .stringConvertible(let convertible):
            // A number keeps its type; it has no room for a secret with a name.
            convertible is any BinaryInteger || convertible is any BinaryFloatingPoint || convertible is Bool
                ? value : .string(scrub(convertible.description))
        case .array(let values): .array(values.map(scrub))
        case .dictionary(let values): .dictionary(scrub(values))
        }
    }

    /// Text in which `key: value`, `key=value` and `"key": "value"` of secret keys and URLs' credentials are masked.
    package static func scrub(_ text: String) -> String {
        let hasPair = text.utf8.contains { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "=") }
        guard hasPair else { return text }
        return SecretText.masking(CredentialMask.masking(text), isSecret: isSecret, mask: mask)
    }

    static func isSecret(_ key: String) -> Bool { isSecret(key[...]) }

    private static func isSecret(_ key: Substring) -> Bool {
        let key = key.lowercased().replacing("-", with: "_")
        return names.contains { key == $0 || key.hasSuffix("_" + $0) }
    }
}
