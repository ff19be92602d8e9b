import Metrics

/// Counts what a host's plugin does.
struct PluginMetrics: Sendable {
    let state: Gauge
    let starts: Counter
    let failures: Counter
    let requests: Counter
    let refusals: Counter

    init(host: String) {
        let labels = [("host", host)]
        state = Gauge(label: "vmops_plugin_state", dimensions: labels)
        starts = Counter(label: "vmops_plugin_starts_total", dimensions: labels)
        failures = Counter(label: "vmops_plugin_failures_total", dimensions: labels)
        requests = Counter(label: "vmops_plugin_requests_total", dimensions: labels)
        refusals = Counter(label: "vmops_plugin_request_errors_total", dimensions: labels)
    }
}
