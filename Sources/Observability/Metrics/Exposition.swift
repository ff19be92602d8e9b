/// Text in Prometheus' exposition format, version 0.0.4.
package struct Exposition: Sendable {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package private(set) var text = ""
    private let prefix: String

    init(prefix: String) { self.prefix = prefix }

    /// Adds a counter without labels; the name gets the registry's prefix unless it begins with `process_`.
    package mutating func counter(_ name: String, _ help: String, _ value: Int64) {
        single(name, help, type: "counter", String(value))
    }

    /// Adds a gauge without labels, named like a ``counter(_:_:_:)``.
    package mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        single(name, help, type: "gauge", Self.number(value))
    }

    private mutating func single(_ name: String, _ help: String, type: String, _ value: String) {
        let full = name.hasPrefix("process_") ? name : prefix + name
        header(full, help: help, type: type)
        text += "\(full) \(value)\n"
    }

    mutating func family(_ name: String, _ family: MetricsRegistry.Family, help: String?) {
        header(name, help: help, type: family.type)
        let series = family.series.map { (labels: Self.labels($0.key), cell: $0.value) }
        for (labels, cell) in series.sorted(by: { $0.labels < $1.labels }) {
            switch cell {
            case .counter(let cell):
                let fraction = cell.fractional
                let value = fraction == 0 ? String(cell.integer) : Self.number(Double(cell.integer) + fraction)
                sample(name, labels, value)
            case .gauge(let cell): sample(name, labels, Self.number(cell.value))
            case .histogram(let cell): histogram(name, labels, cell)
            }
        }
    }

    private mutating func histogram(_ name: String, _ labels: String, _ cell: HistogramCell) {
        let counts = cell.cumulative
        let separator = labels.isEmpty ? "" : ","
        for (bound, count) in zip(cell.bounds.map(Self.number) + ["+Inf"], counts) {
            sample("\(name)_bucket", "\(labels)\(separator)le=\"\(bound)\"", String(count))
        }
        sample("\(name)_sum", labels, Self.number(cell.sum))
        sample("\(name)_count", labels, String(counts.last ?? 0))
    }

    private mutating func header(_ name: String, help: String?, type: String) {
        if let help {
            text += "# HELP \(name) \(help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n"))\n"
        }
        text += "# TYPE \(name) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: String, _ value: String) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }

    private static func labels(_ labels: [MetricName.Label]) -> String {
        labels.map { label in
            let value = label.value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
                .replacing("\n", with: "\\n")
            return "\(label.name)=\"\(value)\""
        }.joined(separator: ",")
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}
