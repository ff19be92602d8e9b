import HostBackend
import TestSupport

extension ConformanceCheck {
    private static let limit = Duration.seconds(60)

    static let consoles = [
        ConformanceCheck("the console shows the boot and ends with the machine", needs: [.consoleOutput]) { subject in
            let host = subject.host
            let spec = try await subject.newSpec("console")
            try await host.createMachine(spec)
            _ = try await host.setState(spec.uuid, .running, deadline: limit)
            let reader = try await ConsoleReader(host.openConsole(spec.uuid))
            try await reader.until(subject.bootText)
            _ = try await host.setState(spec.uuid, .off, deadline: limit)
            _ = try await reader.untilEnd()
            _ = try await host.setState(spec.uuid, .running, deadline: limit)
            let second = try await ConsoleReader(host.openConsole(spec.uuid))
            try await second.until(subject.bootText)
            try await host.deleteMachine(spec.uuid)
            _ = try await second.untilEnd()
        },
        ConformanceCheck("a reset keeps the console", needs: [.consoleOutput, .reset]) { subject in
            let host = subject.host
            let spec = try await subject.newSpec("reset")
            try await host.createMachine(spec)
            try await checkFails(.invalidState, "resetting a machine that is off") {
                _ = try await host.reset(spec.uuid)
            }
            _ = try await host.setState(spec.uuid, .running, deadline: limit)
            let reader = try await ConsoleReader(host.openConsole(spec.uuid))
            let first = try await reader.until(subject.bootText)
            try checkEqual(try await host.reset(spec.uuid), .running, "state after the reset")
            try await eventually("a second boot") {
                String(reader.text.dropFirst(first.count)).contains(subject.bootText)
            }
            try await host.deleteMachine(spec.uuid)
        },
        ConformanceCheck(
            "a new reader goes on where the last one closed",
            needs: [.consoleOutput, .consoleResumable]
        ) { subject in
            let host = subject.host
            let spec = try await subject.newSpec("resume")
            try await host.createMachine(spec)
            _ = try await host.setState(spec.uuid, .running, deadline: limit)
            let first = try await ConsoleReader(host.openConsole(spec.uuid))
            try await eventually("ten bytes") { first.bytes(limit: 10).count >= 10 }
            var text = first.text
            first.close()
            let second = try await ConsoleReader(host.openConsole(spec.uuid))
            try await eventually("the boot text") { (text + second.text).contains(subject.bootText) }
            text += second.text
            try check(text.contains(subject.bootText), "the boot text in one piece")
            try await host.deleteMachine(spec.uuid)
        },
    ]

    static let disks = [
        ConformanceCheck("blank disks have the size asked for and are never overwritten") { subject in
            let host = subject.host
            let spec = try await subject.newSpec("disk")
            guard let format = host.capabilities.diskFormats.first else { return }
            let request = DiskRequest(
                path: spec.directory + "/extra.disk",
                format: format,
                source: .blank,
                virtualSize: 16 << 20
            )
            let info = try await host.createDisk(request)
            try checkEqual(info.virtualSize, 16 << 20, "size")
            try checkEqual(try await host.diskInfo(request.path).format, format, "format")
            try await checkFails(.alreadyExists, "a second disk of the name") {
                _ = try await host.createDisk(request)
            }
            guard host.capabilities.has(.resizeDisks) else { return }
            for _ in 1...2 { try await host.resizeDisk(request.path, virtualSize: 32 << 20) }
            try checkEqual(try await host.diskInfo(request.path).virtualSize, 32 << 20, "size after growing")
        },
        ConformanceCheck("an unknown image is not found, a bad reference refused") { subject in
            try await checkFails(.notFound, "unknown image") { _ = try await subject.host.image("no-such-image") }
            try await checkFails(.invalidArgument, "bad reference") { _ = try await subject.host.image("../../etc") }
        },
    ]
}
