import Glibc

/// What Prometheus' clients tell about their own process: memory, processor time, descriptors.
package enum ProcessMetrics {
    /// Adds the usual `process_*` metrics to each rendering.
    package static func register(in registry: MetricsRegistry) {
        let start = Timestamp.now()
        registry.collect { exposition in
            var usage = rusage()
            if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
                let seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
                exposition.gauge("process_cpu_seconds", "User and system processor time.", seconds)
                exposition.gauge("process_peak_memory_bytes", "Largest memory so far.", Double(usage.ru_maxrss) * 1024)
            }
            if let pages = residentPages() {
                let size = Double(pages) * Double(sysconf(Int32(_SC_PAGESIZE)))
                exposition.gauge("process_resident_memory_bytes", "Memory in use.", size)
            }
            let time = Double(start.microsecondsSince1970) / 1_000_000
            exposition.gauge("process_start_time_seconds", "Start, in seconds since 1970.", time)
        }
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }

    private static func residentPages() -> Int? {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let words = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")
        return words.count > 1 ? Int(words[1]) : nil
    }
}
