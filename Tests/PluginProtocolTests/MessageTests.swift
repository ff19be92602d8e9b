import HostBackend
import JSONCodec
import PluginProtocol
import Support
import Testing

@Suite struct MessageTests {
    /// Over the wire and back.
    private func travelled(_ json: JSONObject) throws -> JSONObject {
        var decoder = PluginFrameDecoder()
        decoder.append(try PluginFrame.bytes(of: json))
        guard case .message(let payload)? = try decoder.next() else { return [:] }
        return try PluginFrame.object(of: payload)
    }

    private func members(_ json: JSONObject) throws -> PluginMembers {
        PluginMembers(try travelled(json), of: "it", code: .internal)
    }

    @Test func everyMessageComesBackAsItWas() throws {
        for message in Messages.ofWorkers { #expect(try WorkerMessage(travelled(message.json)) == message) }
        for message in Messages.ofPlugins { #expect(try PluginMessage(travelled(message.json)) == message) }
    }

    @Test func unknownKindsEventsAndMembersAreIgnored() throws {
        #expect(try PluginMessage(["kind": "weather"]) == nil)
        #expect(try WorkerMessage(["kind": "weather"]) == nil)
        #expect(
            try PluginMessage([
                "kind": "event", "type": "teleported", "seq": 1, "uuid": .string(Messages.spec.uuid.text),
            ]) == nil
        )
        var json = Messages.hello.json
        json["weather"] = "fine"
        #expect(try PluginMessage(json) == .hello(Messages.hello))
    }

    @Test func whatIsMissingHasItsDefault() throws {
        #expect(try PluginMessage(["kind": "response", "id": 4]) == .result(id: 4, [:]))
        #expect(
            try PluginMessage(["kind": "response", "id": 4, "error": .null, "result": .null]) == .result(id: 4, [:])
        )
        guard case .fault(_, let fault)? = try PluginMessage(["kind": "response", "id": 4, "error": ["code": "odd"]])
        else { throw PluginError(.violation, "no fault") }
        #expect(fault.code == .internal)
        #expect(fault.isRetryable == false)
    }

    @Test(
        arguments: [
            ["id": 1], ["kind": 5], ["kind": "response"], ["kind": "response", "id": "one"],
            ["kind": "event", "seq": 1],
            ["kind": "event", "type": "started", "seq": -1, "uuid": "x"],
            ["kind": "dropped", "stream": 1, "bytes": -5], ["kind": "hello", "version": 1],
            ["kind": "hello", "version": 1, "versions": [1], "host": ["id": 5]],
            ["kind": "hello", "version": 1, "versions": [1], "host": ["id": "x"], "limits": ["max_frame": 1]],
            ["kind": "response", "id": 1, "result": []],
        ] as [JSONObject]
    )
    func badMessagesAreErrors(json: JSONObject) {
        #expect(throws: BackendError.self) { try PluginMessage(json) }
    }

    @Test func valuesComeBackAsTheyWere() throws {
        let disk = DiskInfo(path: "/d", format: "raw", virtualSize: 5, actualSize: 4, backingFile: "/b")
        #expect(try DiskInfo(members(disk.json)) == disk)
        for source in [DiskSource.blank, .overlay(Messages.image), .copy(Messages.image)] {
            let request = DiskRequest(path: "/p", format: "qcow2", source: source, virtualSize: 9)
            #expect(try DiskRequest(members(request.json)) == request)
        }
        let image = ImageRequest(
            "http://x/y",
            location: "http://z",
            checksums: [ImageChecksum(algorithm: "md5", value: "00")],
            format: "raw",
            size: 7,
            user: "/u"
        )
        #expect(try ImageRequest(members(image.json)) == image)
        let status = MachineStatus(
            uuid: Messages.spec.uuid,
            name: "n",
            state: .saved,
            incarnation: 3,
            maxMemoryKB: 1,
            memoryKB: 2,
            cpuCount: 3,
            cpuTimeNanoseconds: 4,
            hasConsole: false
        )
        #expect(try MachineStatus(members(status.json)) == status)
        let summary = MachineSummary(name: "foreign", uuid: nil, state: .error, incarnation: 1)
        #expect(try MachineSummary(members(summary.json)) == summary)
        let progress = MigrationProgress(phase: .switchover, transferredBytes: 1, remainingBytes: 2)
        #expect(try MigrationProgress(members(progress.json)) == progress)
        let volume = VolumeConnection(
            volumeID: "v",
            type: "file",
            data: Redacted(["password": "x"]),
            mountDevice: "/dev/vdb",
            isBootVolume: true
        )
        #expect(try VolumeConnection(members(volume.json)) == volume)
        let wire = try members(["spec": .object(Messages.spec.record), "disk": .object(Messages.disk.record)])
        #expect(try wire.spec() == Messages.spec)
        #expect(try wire.disk() == Messages.disk)
        let file = ConfigDriveFile(path: "a", content: [0, 255])
        #expect(ConfigDriveFile(.object(try travelled(file.json))) == file)
        for answer in [ShutdownAnswer.accepted, .notReady, .unsupported] {
            #expect(try ShutdownAnswer(members(["answer": .string(answer.name)])) == answer)
        }
        for code in BackendError.Code.allCases {
            #expect(PluginFault(.object(PluginFault(code, "m").json)).code == code)
        }
    }

    @Test func linesOfStandardErrorAreTakenApart() {
        #expect(PluginLogLine(Array("plain\u{7}".utf8)) == PluginLogLine(level: .info, message: #"plain\u{7}"#))
        #expect(
            PluginLogLine(Array(#"{"level":"error","message":"m\n","disk":3}"#.utf8))
                == PluginLogLine(level: .error, message: #"m\n"#, fields: ["disk": "3"])
        )
        #expect(PluginLogLine(Array("{broken".utf8)).message == "{broken")
    }
}
