import DaemonBench
import Support
import TestSupport
import Testing

/// Many hosts in one process, and the same work many times over.
@Suite(
    .enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)),
    .timeLimit(.minutes(10)),
    .serialized
)
struct ScaleTests {
    @Test func aThousandHostsInOneProcess() async throws {
        let count = Sanitizer.choose(100, otherwise: 1000)
        let hosts = (0..<count).map { "host-\($0)" }
        let start = ContinuousClock.now
        try await Bench.run(DaemonSettings(hosts: hosts)) { bench in
            let started = ContinuousClock.now - start
            let idle = try bench.process()
            try await everywhere(hosts) { host in
                let answer = try await bench.call("ping", on: host)
                #expect(answer["host"]?.stringValue == host)
            }
            let machines = hosts.map { TestInstance("vm", on: $0) }
            let spawning = ContinuousClock.now
            try await everywhere(machines) { try await bench.spawn($0) }
            let spawned = ContinuousClock.now - spawning
            let busy = try bench.process()
            try await everywhere(machines) { machine in
                let state = try await bench.state(machine)
                #expect(state == "running")
            }
            print(
                """
                \(count) hosts: serving after \(started); idle \(idle); \(count) machines spawned in \(spawned); \
                with them \(busy); per host \((busy.residentKiB) / count) KiB, \(busy.descriptors / count) descriptors
                """
            )
            try await everywhere(machines) { try await bench.call("destroy", $0.reference, on: $0.host) }
            // The journals' write-ahead logs and shared files stay open; nothing of a machine does.
            try await eventually("the descriptors of the machines are closed") {
                try bench.process().descriptors <= idle.descriptors + 2 * count
            }
            print("machines destroyed: \(try bench.process())")
        }
    }

    @Test func twoHundredMachinesLeaveNothingBehind() async throws {
        try await Bench.run { bench in
            let cycles = 200
            func cycle(_ count: Int) async throws {
                for number in 0..<count {
                    let instance = TestInstance("vm-\(number)", on: number % 2 == 0 ? "host-a" : "host-b")
                    try await bench.spawn(instance)
                    try await bench.call("destroy", instance.reference, on: instance.host)
                }
            }
            try await cycle(20)
            let before = try bench.process()
            let files = bench.files
            try await cycle(cycles)
            try await eventually("the same descriptors and threads") {
                let now = try bench.process()
                return now.descriptors <= before.descriptors && now.threads <= before.threads + 1
            }
            #expect(bench.files == files)
            print("\(cycles) machines made and destroyed: before \(before), after \(try bench.process())")
            // A sanitizer keeps what was freed.
            #expect(try Sanitizer.isOn || bench.process().residentKiB < before.residentKiB + 24 << 10)
        }
    }
}

extension Bench {
    /// Names below the hosts' directories, but not what is in them.
    var files: [String] {
        Files.names(in: daemon.statePath).flatMap { host in
            Files.names(in: daemon.statePath + "/" + host).flatMap { name in
                ["\(host)/\(name)"]
                    + Files.names(in: "\(daemon.statePath)/\(host)/\(name)").map { "\(host)/\(name)/\($0)" }
            }
        }
    }
}
