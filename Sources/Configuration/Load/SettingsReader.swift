/// Reads values through their keys for one host or for the process.
///
/// Whatever is invalid has been reported before this is used; here the option's fallback takes its place, so that
/// making settings cannot fail.
struct SettingsReader {
    let table: OptionTable
    var host: String?

    subscript<Value>(key: OptionKey<Value>) -> Value {
        do throws(ValueError) {
            guard let texts = try table.resolved(key.definition, host: host) else { return key.fallback }
            return try key.parse(texts)
        } catch {
            return key.fallback
        }
    }
}
