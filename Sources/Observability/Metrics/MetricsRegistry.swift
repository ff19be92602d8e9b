package import CoreMetrics
import Synchronization

/// Holds every metric of the process and renders them for Prometheus.
///
/// Making a metric takes a lock and is meant to happen once, with the handle kept; recording through a handle is
/// atomic and takes none. There are at most ``MetricsRegistry/maximumSeries`` time series: beyond that new ones work
/// but are not shown, and `vmops_metrics_series_dropped_total` counts them. The same holds for a name that is already
/// taken by a metric of another type.
package final class MetricsRegistry: MetricsFactory {
    package static let maximumSeries = 20_000

    enum Cell: Sendable {
        case counter(CounterCell)
        case gauge(GaugeCell)
        case histogram(HistogramCell)

        var type: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    struct Family: Sendable {
        var type: String
        var series: [[MetricName.Label]: Cell] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var helps: [String: String] = [:]
        var seriesCount = 0
        var collectors: [@Sendable (inout Exposition) -> Void] = []
    }

    private let state = Mutex(State())
    private let dropped = CounterCell()
    private let prefix: String
    private let limit: Int

    /// - Parameter prefix: put in front of names that do not have it.
    package init(prefix: String = "vmops_", maximumSeries: Int = MetricsRegistry.maximumSeries) {
        self.prefix = prefix
        limit = maximumSeries
    }

    /// Sets the help text of a metric, by the label it is made with; before or after it is made.
    package func describe(_ label: String, _ help: String) {
        let name = MetricName(label, dimensions: [], prefix: prefix, suffix: "").name
        state.withLock { $0.helps[name] = help }
    }

    /// Adds a source that is asked at each rendering, for values that are read and not counted.
    package func collect(_ collector: @escaping @Sendable (inout Exposition) -> Void) {
        state.withLock { $0.collectors.append(collector) }
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate
            ? histogram(label, dimensions, suffix: "", bounds: HistogramCell.plainBounds) : gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions, suffix: "_seconds", bounds: HistogramCell.secondBounds)
    }

    // Metrics live as long as the process: one that was counted must not start over at 0.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// All metrics in Prometheus' text format, version 0.0.4, families and series in order of their names.
    package func exposition() -> String {
        let (families, helps, collectors) = state.withLock { ($0.families, $0.helps, $0.collectors) }
        var exposition = Exposition(prefix: prefix)
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            exposition.family(name, family, help: Self.help(of: name, helps))
        }
        exposition.counter(
            "metrics_series_dropped_total",
            "Time series not shown because there are too many.",
            dropped.integer
        )
        for collector in collectors { collector(&exposition) }
        return exposition.text
    }

    private static func help(of name: String, _ helps: [String: String]) -> String? {
        helps[name]
            ?? ["_total", "_seconds"].lazy.filter { name.hasSuffix($0) }
            .compactMap { helps[String(name.dropLast($0.count))] }.first
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterCell {
        let name = MetricName(label, dimensions: dimensions, prefix: prefix, suffix: "_total")
        guard case .counter(let cell) = cell(name, orMake: .counter(CounterCell())) else { return CounterCell() }
        return cell
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeCell {
        let name = MetricName(label, dimensions: dimensions, prefix: prefix, suffix: "")
        guard case .gauge(let cell) = cell(name, orMake: .gauge(GaugeCell())) else { return GaugeCell() }
        return cell
    }

    private func histogram(
        _ label: String,
        _ dimensions: [(String, String)],
        suffix: String,
        bounds: [Double]
    ) -> HistogramCell {
        let name = MetricName(label, dimensions: dimensions, prefix: prefix, suffix: suffix)
        let made = HistogramCell(bounds: bounds)
        guard case .histogram(let cell) = cell(name, orMake: .histogram(made)) else { return made }
        return cell
    }

    /// The series' cell, made if there is room and the name is free for the type; else one that is not shown.
    private func cell(_ name: MetricName, orMake fresh: Cell) -> Cell {
        let (cell, isShown) = state.withLock { state -> (Cell, Bool) in
            let family = state.families[name.name]
            if let cell = family?.series[name.labels] { return (cell, cell.type == fresh.type) }
            guard state.seriesCount < limit, family == nil || family?.type == fresh.type else { return (fresh, false) }
            state.families[name.name, default: Family(type: fresh.type)].series[name.labels] = fresh
            state.seriesCount += 1
            return (fresh, true)
        }
        if !isShown { dropped.increment(by: 1 as Int64) }
        return cell
    }
}
