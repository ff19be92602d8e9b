import HostBackend

extension ConformanceCheck {
    static let consoles = [
        ConformanceCheck(
            "the console shows the boot and ends with the machine",
            section: "9",
            needs: [.consoleOutput]
        ) { subject in
            let host = subject.host
            try await subject.withRunning("console") { spec in
                let reader = try await ConsoleReader(host.openConsole(spec.uuid))
                try await subject.booted(reader)
                try await subject.reach(.off, spec)
                try await reader.untilEnd()
                try await subject.reach(.running, spec)
                let second = try await ConsoleReader(host.openConsole(spec.uuid))
                try await subject.booted(second)
                try await host.deleteMachine(spec.uuid)
                try await second.untilEnd()
            }
        },
        ConformanceCheck("a reset keeps the console", section: "7.2", needs: [.consoleOutput, .reset]) { subject in
            let host = subject.host
            try await subject.withMachine("reset") { spec in
                try await checkFails(.invalidState, what: "resetting a machine that is off") {
                    _ = try await host.reset(spec.uuid)
                }
                try await subject.reach(.running, spec)
                let reader = try await ConsoleReader(host.openConsole(spec.uuid))
                try await subject.booted(reader)
                let count = reader.bytes().count
                try checkEqual(try await host.reset(spec.uuid), .running, "the state after the reset")
                try await subject.booted(reader, after: count)
            }
        },
        ConformanceCheck(
            "a new reader goes on where the last one closed",
            section: "9",
            needs: [.consoleOutput, .consoleResumable]
        ) { subject in
            let host = subject.host
            try await subject.withRunning("resume") { spec in
                let first = try await ConsoleReader(host.openConsole(spec.uuid))
                try await waitUntil("the first bytes") { !first.bytes(limit: 10).isEmpty }
                let begin = await first.close()
                let second = try await ConsoleReader(host.openConsole(spec.uuid))
                guard let bootText = subject.bootText else { throw CheckSkipped("the guest's boot text is not known") }
                func text() -> String { String(decoding: begin + second.bytes(), as: UTF8.self) }
                try await waitUntil("the boot text in one piece", seen: { String(text().suffix(200)) }) {
                    text().contains(bootText)
                }
            }
        },
        ConformanceCheck(
            "typing on the console changes nothing about reading it",
            section: "7.5",
            needs: [.consoleOutput, .consoleInput]
        ) { subject in
            let host = subject.host
            try await subject.withRunning("typing") { spec in
                try await host.writeConsole(spec.uuid, Array("\n".utf8))
                let reader = try await ConsoleReader(host.openConsole(spec.uuid))
                try await host.writeConsole(spec.uuid, Array("hello\n".utf8))
                try await host.writeConsole(spec.uuid, [])
                try await subject.booted(reader)
            }
        },
    ]
}
