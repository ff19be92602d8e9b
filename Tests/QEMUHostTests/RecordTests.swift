import HostBackend
import JSONCodec
import Processes
import Support
import Testing

@testable import QEMUHost

@Suite struct RecordTests {
    private static let spec = MachineSpec(
        uuid: newUUID(),
        name: "vm",
        directory: "/i",
        memoryMB: 64,
        vcpus: 1,
        disks: [
            DiskAttachment(
                role: .root,
                path: "/r",
                format: "raw",
                address: DeviceAddress(bus: .ide, controller: 0, unit: 0)
            )
        ],
        interfaces: [NetworkInterface(id: "i", macAddress: "52:54:00:00:00:01", bridge: "br0")],
        metadata: ["a": "b"]
    )

    private static let records: [MachineRecord] = {
        let platform = Platform(machineType: "pc-q35-7.2", cpuModel: "qemu64", accelerator: "tcg")
        let plain = MachineRecord(spec: spec, incarnation: 7, platform: platform)
        var running = plain
        running.state = .running
        running.process = .init(identity: ProcessIdentity(pid: 12, startTime: .max >> 1), bootID: "boot")
        var saving = running
        saving.task = .saving(resumes: true)
        var restoring = running
        restoring.state = .saved
        restoring.task = .restoring
        restoring.saved = .init(disks: [DiskFingerprint(path: "/r", size: 1 << 40, modified: 1_700_000_000_000_000_001)]
        )
        var leaving = running
        leaving.task = .leaving(resumes: false)
        var expected = plain
        expected.presence = .arriving(.init(migration: "m", runs: true))
        var arriving = running
        arriving.slots = ["i": 3]
        let way = ArrivalWay(
            address: "::1",
            port: 49_152,
            diskPort: 49_153,
            tlsName: "b.example",
            layers: ["disk-ide0-0"]
        )
        arriving.presence = .arriving(.init(migration: "m", runs: false, way: way))
        var departed = running
        departed.presence = .departed
        return [plain, running, saving, restoring, leaving, expected, arriving, departed]
    }()

    @Test(arguments: records.indices) func aRecordIsReadAsItWasWritten(number: Int) throws {
        let record = Self.records[number]
        let bytes = try JSONWriter.bytes(of: .object(record.json), .compact)
        let read = try #require(JSONReader.read(bytes).objectValue)
        #expect(try MachineRecord(json: read) == record)
    }

    @Test func anotherVersionIsNotGuessedAt() {
        var json = Self.records[0].json
        json["version"] = 2
        #expect(throws: BackendError.self) { try MachineRecord(json: json) }
    }

    @Test func processorTimeIsThatOfTheVeryProcess() {
        let text = "12 (a ) b) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 9876 1000 200 1 1"
        #expect(CPUTime.nanoseconds(stat: text, startTime: 9876) == 2_000_000_000)
        #expect(CPUTime.nanoseconds(stat: text, startTime: 9877) == nil)
    }

    @Test func whatFirmwareAddsToAResetIsNoReboot() {
        var filter = ResetFilter()
        let events: [(milliseconds: Int64, isGuests: Bool)] = [
            (0, true), (50, true), (51, true), (5000, false), (5040, true), (5041, true), (9000, true), (9100, true),
            (8000, true),
        ]
        let reboots = events.filter { filter.isReboot(at: $0.milliseconds * 1000, isGuests: $0.isGuests) }
        // The last is after the clock was set back.
        #expect(reboots.map(\.milliseconds) == [0, 9000, 8000])
    }

    @Test func versionsAreReadFromWhatQEMUSays() {
        let version = HostFacts.version(in: "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright")
        #expect(version?.major == 7 && version?.minor == 2)
        #expect(HostFacts.version(in: "something else") == nil)
    }
}
