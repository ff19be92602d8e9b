import DiskImages
import Glibc
import Processes
import Support

/// What the kernel counts for a QEMU process. Nothing here waits for a disk.
struct ProcessFigures: Sendable, Hashable {
    /// Since its start.
    let seconds: UInt64
    /// Memory that it has in use, the guest's included.
    let residentKB: UInt64

    /// `nil` if the process has ended.
    init?(_ process: ProcessIdentity) {
        let ticks = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        guard let pages = Self.text("/proc/\(process.pid)/statm")?.split(separator: " ").dropFirst().first,
            let resident = UInt64(pages), CPUTime.nanoseconds(of: process) != nil
        else { return nil }
        residentKB = resident * UInt64(max(1, sysconf(Int32(_SC_PAGESIZE)))) >> 10
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let now = UInt64(max(0, time.tv_sec))
        seconds = now - min(now, process.startTime / ticks)
    }

    /// Processor time of one thread in nanoseconds.
    static func time(ofThread thread: Int64, of process: ProcessIdentity) -> UInt64? {
        guard let text = text("/proc/\(process.pid)/task/\(thread)/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]) else { return nil }
        return CPUTime.nanoseconds(stat: text, startTime: start)
    }

    static func text(_ path: String) -> String? {
        guard let bytes = try? FileCalls.read(path, offset: 0, count: 8192) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// What the kernel counts for a TAP device, seen from the guest: what the host sends it receives.
struct InterfaceFigures: Sendable, Hashable {
    private static let names = ["bytes": "octets", "packets": "packets", "errors": "errors", "dropped": "drop"]

    /// By Nova's names, such as `rx_octets`; empty if there is no such device.
    let counters: [String: UInt64]

    init(tap: String) {
        var counters: [String: UInt64] = [:]
        for (kernels, novas) in Self.names {
            for (host, guest) in [("tx", "rx"), ("rx", "tx")] {
                let text = ProcessFigures.text("/sys/class/net/\(tap)/statistics/\(host)_\(kernels)")
                counters["\(guest)_\(novas)"] = text.flatMap { UInt64($0.prefix { $0.isNumber }) }
            }
        }
        self.counters = counters
    }

    func json(macAddress: String) -> JSONObject {
        var json: JSONObject = ["mac_address": .string(macAddress)]
        for (name, value) in counters.sorted(by: { $0.key < $1.key }) { json[name] = .int(Int64(clamping: value)) }
        return json
    }
}
