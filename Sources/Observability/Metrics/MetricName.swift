/// Names and labels as Prometheus allows them.
struct MetricName: Sendable, Hashable {
    var name: String
    /// Sorted by name; of equal names the last counts.
    var labels: [Label]

    struct Label: Sendable, Hashable {
        var name: String
        var value: String
    }

    /// Longest value of a label; the rest is cut.
    static let longestLabelValue = 256

    init(_ label: String, dimensions: [(String, String)], prefix: String, suffix: String) {
        var name = Self.cleaned(label, allowingColon: true)
        if !name.hasPrefix(prefix) { name = prefix + name }
        if !name.hasSuffix(suffix) { name += suffix }
        self.name = name
        var values: [String: String] = [:]
        for (key, value) in dimensions {
            // `le` belongs to histograms.
            let key = Self.cleaned(key, allowingColon: false)
            values[key == "le" || key.hasPrefix("__") ? "label_" + key : key] = value
        }
        labels = values.map { Label(name: $0.key, value: Self.limited($0.value)) }.sorted { $0.name < $1.name }
    }

    private static func cleaned(_ text: String, allowingColon: Bool) -> String {
        var result = ""
        for (position, scalar) in text.unicodeScalars.prefix(200).enumerated() {
            switch scalar {
            case "a"..."z", "A"..."Z", "_": result.unicodeScalars.append(scalar)
            case "0"..."9":
                if position == 0 { result += "_" }
                result.unicodeScalars.append(scalar)
            case ":" where allowingColon: result.unicodeScalars.append(scalar)
            default: result += "_"
            }
        }
        return result.isEmpty ? "_" : result
    }

    private static func limited(_ text: String) -> String {
        text.utf8.count <= longestLabelValue ? text : String(text.unicodeScalars.prefix(longestLabelValue / 4))
    }
}
