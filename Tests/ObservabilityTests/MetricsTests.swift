import CoreMetrics
import Metrics
import Testing

@testable import Observability

@Suite(.timeLimit(.minutes(5))) struct MetricsTests {
    @Test func countsInParallelWithoutLoss() async throws {
        let registry = MetricsRegistry()
        let counter = Counter(label: "calls", dimensions: [("method", "spawn")], factory: registry)
        let timer = Timer(label: "duration", dimensions: [], factory: registry)
        let gauge = Meter(label: "level", dimensions: [], factory: registry)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.increment()
                        timer.recordMilliseconds(3)
                        gauge.increment()
                    }
                }
            }
        }
        let samples = try Samples(registry.exposition())
        #expect(samples["vmops_calls_total{method=\"spawn\"}"] == 8000)
        #expect(samples["vmops_duration_seconds_count"] == 8000)
        #expect(abs((samples["vmops_duration_seconds_sum"] ?? 0) - 24) < 1e-6)
        #expect(samples["vmops_duration_seconds_bucket{le=\"0.0025\"}"] == 0)
        #expect(samples["vmops_duration_seconds_bucket{le=\"0.005\"}"] == 8000)
        #expect(samples["vmops_duration_seconds_bucket{le=\"+Inf\"}"] == 8000)
        #expect(samples["vmops_level"] == 8000)
    }

    @Test func sameNameAndLabelsAreOneSeries() throws {
        let registry = MetricsRegistry()
        Counter(label: "a", dimensions: [("x", "1"), ("y", "2")], factory: registry).increment()
        Counter(label: "a", dimensions: [("y", "2"), ("x", "1")], factory: registry).increment(by: 2)
        FloatingPointCounter(label: "a", dimensions: [("x", "2")], factory: registry).increment(by: 0.5)
        let samples = try Samples(registry.exposition())
        #expect(samples["vmops_a_total{x=\"1\",y=\"2\"}"] == 3)
        #expect(samples["vmops_a_total{x=\"2\"}"] == 0.5)
    }

    @Test func bucketsIncludeTheirBound() throws {
        let registry = MetricsRegistry()
        let sizes = Recorder(label: "size", dimensions: [], aggregate: true, factory: registry)
        for value in [1.0, 4, 4.5, 1e12, -1] { sizes.record(value) }
        let samples = try Samples(registry.exposition())
        #expect(samples["vmops_size_bucket{le=\"1\"}"] == 2)
        #expect(samples["vmops_size_bucket{le=\"4\"}"] == 3)
        #expect(samples["vmops_size_bucket{le=\"16\"}"] == 4)
        #expect(samples["vmops_size_bucket{le=\"+Inf\"}"] == 5)
    }

    @Test(arguments: ["a\"b", "a\\b", "a\nb", "}", "a\",le=\"1", "ü", ""])
    func hostileLabelValuesReadBack(value: String) throws {
        let registry = MetricsRegistry()
        registry.describe("x", "one\nline \\ back")
        Counter(label: "x", dimensions: [("v", value), ("le", "1"), ("0 bad-name", "2")], factory: registry).increment()
        let text = registry.exposition()
        let samples = try Samples(text)
        let found = samples.labels["vmops_x_total"]?.first
        #expect(found == ["v": value, "label_le": "1", "_0_bad_name": "2"])
        #expect(text.contains("# HELP vmops_x_total one\\nline \\\\ back\n# TYPE vmops_x_total counter\n"))
    }

    @Test func tooManySeriesAreCountedNotShown() throws {
        let registry = MetricsRegistry(maximumSeries: 10)
        for number in 0..<15 {
            Counter(label: "c", dimensions: [("n", "\(number)")], factory: registry).increment()
        }
        Meter(label: "c_total", dimensions: [], factory: registry).set(5)
        let samples = try Samples(registry.exposition())
        #expect(samples.labels["vmops_c_total"]?.count == 10)
        #expect(samples["vmops_metrics_series_dropped_total"] == 6)
    }

    @Test func processTellsAboutItself() throws {
        let registry = MetricsRegistry()
        ProcessMetrics.register(in: registry)
        let samples = try Samples(registry.exposition())
        #expect((samples["process_resident_memory_bytes"] ?? 0) > 1_000_000)
        #expect((samples["process_cpu_seconds"] ?? 0) > 0)
    }
}
