import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let oneShots = [
        PluginCheck("the hello of a one-shot plugin is complete", section: "11", shapes: [.oneshot]) { bench in
            let caller = try await bench.oneShot()
            let run = try await caller.run("hello", [:], deadline: bench.settings.startLimit)
            guard case .result(let hello) = try OneShotCaller.answer(run, to: "hello") else {
                throw CheckFailure(expected: "the result of hello", seen: "an error")
            }
            try isComplete(hello)
            let flags = Set(hello["capabilities"]?["flags"]?.arrayValue?.compactMap(\.stringValue) ?? [])
            let impossible = flags.filter { $0.hasPrefix("migrate.") || $0 == "host.events" }
            try check(impossible.isEmpty, "no capability that takes a connection", seen: "\(impossible.sorted())")
        },
        PluginCheck("unknown members of the document are ignored", section: "11", shapes: [.oneshot]) { bench in
            _ = try await bench.oneShot().call(
                "machine.list",
                ["novelty": [1, ["a": .null]], "after": .null],
                deadline: .seconds(20)
            )
        },
        PluginCheck("an input that is no document ends it without a signal", section: "11", shapes: [.oneshot]) {
            bench in
            let caller = try await bench.oneShot()
            for input in ["", "{\"params\":", "[1, 2]"] {
                let run = try await caller.run(["host.info"], input: Array(input.utf8), limit: .seconds(20))
                if case .signalled = run.status {
                    throw CheckFailure(
                        expected: "an exit after the input \(input.debugDescription)",
                        seen: "\(run.status)"
                    )
                }
                if run.status == .exited(0) { _ = try OneShotCaller.answer(run, to: "host.info") }
            }
        },
        PluginCheck("killed at a random point, the next run finds its machines", section: "10", shapes: [.oneshot]) {
            bench in
            for _ in 0..<bench.settings.killRounds {
                let subject = try await PluginSubject(bench)
                let caller = try await bench.oneShot()
                let spec = try await subject.newSpec("killed", bare: false)
                let create: JSONObject = ["spec": .object(spec.record)]
                let start: JSONObject = ["uuid": .string(spec.uuid.text), "state": "running"]
                for (method, params) in [("machine.create", create), ("machine.setState", start)] {
                    try await caller.kill(method, params, after: .microseconds(Int.random(in: 100...60_000)))
                }
                try await subject.host.createMachine(spec)
                let state = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
                try checkEqual(state, .running, "the state reached after a kill")
                let listed = try await subject.host.machines().count { $0.uuid == spec.uuid }
                try checkEqual(listed, 1, "how often the machine is listed")
                try await subject.host.deleteMachine(spec.uuid)
            }
        },
    ]
}
