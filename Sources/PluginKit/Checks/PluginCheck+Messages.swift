import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let messages = [
        PluginCheck("an unknown method is answered with unimplemented", section: "4", shapes: .all) { bench in
            for method in ["host.novelty", "novelty", "machine.setstate"] {
                try await bench.error([.unimplemented], method, [:], what: "the method \(method)")
            }
        },
        PluginCheck("params, deadline and idempotency key may be missing", section: "4") { bench in
            let (session, _) = try await bench.connection()
            let missing: JSONObject = ["params": .null, "deadline_ms": .null, "idempotency_key": .null]
            let id = try await session.send("host.info", extra: missing)
            _ = try await session.answer(to: id).get()
            let zero = try await session.send("host.info", extra: ["deadline_ms": 0])
            _ = try await session.answer(to: zero).get()
        },
        PluginCheck("an id of 64 bits comes back as it was", section: "4") { bench in
            let (session, _) = try await bench.fresh()
            // Beyond what a double can hold exactly.
            session.look { $0.lastID = 9_007_199_254_740_992 }
            let id = try await session.send("host.info")
            _ = try await session.answer(to: id).get()
            try await session.ping(Int64.max)
        },
        PluginCheck("each of many requests at once is answered exactly once", section: "4") { bench in
            let (session, hello) = try await bench.connection()
            for round in 0..<3 {
                var ids: [Int64] = []
                for number in 0..<hello.maximumParallel.clamped(to: 1...64) {
                    ids.append(try await session.send(number % 2 == round % 2 ? "host.info" : "machine.list"))
                }
                for id in ids { _ = try await session.answer(to: id).get() }
            }
            try await session.ping(21)
        },
        PluginCheck("a ping is answered at once, whatever else goes on", section: "4") { bench in
            let subject = try await PluginSubject(bench)
            let (session, hello) = try await bench.connection()
            var specs: [MachineSpec] = []
            for number in 0..<hello.maximumParallel.clamped(to: 1...4) {
                specs.append(try await subject.newSpec("busy-\(number)", bare: false))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for spec in specs {
                    group.addTask {
                        let host = subject.host
                        try await host.createMachine(spec)
                        _ = try await host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
                        try await host.deleteMachine(spec.uuid)
                    }
                }
                for id in Int64(200)..<230 {
                    try await session.ping(id, within: .seconds(5))
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await group.waitForAll()
            }
        },
        PluginCheck("a slow request does not hold up another machine's", section: "4") { bench in
            let subject = try await PluginSubject(bench)
            let (session, hello) = try await bench.connection()
            guard hello.maximumParallel > 1 else { throw CheckSkipped("the plugin wants one request at a time") }
            let slow = try await subject.newSpec("slow", bare: false)
            try await subject.host.createMachine(slow)
            let start = try await session.send(
                "machine.setState",
                ["uuid": .string(slow.uuid.text), "state": "running"]
            )
            let read = try await session.send("host.info")
            let get = try await session.send("machine.get", ["uuid": .string(slow.uuid.text)])
            for id in [read, get, start] { _ = try await session.answer(to: id).get() }
            try await subject.host.deleteMachine(slow.uuid)
        },
        PluginCheck("a request repeated with its idempotency key succeeds again", section: "4") { bench in
            let subject = try await PluginSubject(bench)
            let (session, _) = try await bench.connection()
            let spec = try await subject.newSpec("repeated", bare: true)
            for (method, params) in [
                ("machine.create", ["spec": .object(spec.record)] as JSONObject),
                ("machine.delete", ["uuid": .string(spec.uuid.text)]),
            ] {
                let key = UniqueID.make()
                for _ in 1...2 {
                    let id = try await session.send(method, params, key: key)
                    guard case .result = try await session.answer(to: id) else {
                        throw CheckFailure(
                            expected: "\(method) succeeds each time",
                            seen: try await session.answer(to: id).summary
                        )
                    }
                }
            }
        },
        PluginCheck("a cancelled request is answered exactly once, with cancelled or its result", section: "4") {
            bench in
            let subject = try await PluginSubject(bench)
            let (session, _) = try await bench.connection()
            try await session.send(["kind": "cancel", "id": 4_711_000])
            let spec = try await subject.newSpec("cancelled", bare: false)
            try await subject.host.createMachine(spec)
            for delay in [0, 3, 11] {
                let id = try await session.send(
                    "machine.setState",
                    ["uuid": .string(spec.uuid.text), "state": "running"]
                )
                try await Task.sleep(for: .milliseconds(delay))
                for _ in 1...2 { try await session.send(["kind": "cancel", "id": .int(id)]) }
                if case .error(let error) = try await session.answer(to: id) {
                    try checkEqual(error.code, "cancelled", "the error of a cancelled request")
                }
                try await session.send(["kind": "cancel", "id": .int(id)])
                _ = try await subject.host.setState(spec.uuid, .off, deadline: ConformanceCheck.limit)
            }
            try await session.ping(22)
            try await subject.host.deleteMachine(spec.uuid)
        },
        PluginCheck("a deadline that cannot be met is answered all the same", section: "4") { bench in
            let subject = try await PluginSubject(bench)
            let (session, _) = try await bench.connection()
            let spec = try await subject.newSpec("hurried", bare: false)
            try await subject.host.createMachine(spec)
            let params: JSONObject = ["uuid": .string(spec.uuid.text), "state": "running"]
            let id = try await session.send("machine.setState", params, deadline: .milliseconds(1))
            // The deadline and 5 s of grace, with more for a loaded machine.
            if case .error(let error) = try await session.answer(to: id, within: session.exitLimit) {
                try checkEqual(error.code, "timeout", "the error of a request that had 1 ms")
            }
            try await subject.host.deleteMachine(spec.uuid)
        },
        PluginCheck("after goodbye and end of file the plugin exits with status 0", section: "10") { bench in
            let (session, _) = try await bench.fresh()
            _ = try await session.result("host.info")
            try await session.send(["kind": "goodbye", "reason": "conformance"])
            session.closeInput()
            // The worker waits 2 s and sends SIGTERM; a loaded machine may need longer.
            let end = try await session.untilEnd("after goodbye and end of file")
            if session.process != nil { try checkValue(end, .exited(0), "its end") }
        },
    ]
}

extension Int {
    fileprivate func clamped(to range: ClosedRange<Int>) -> Int {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}
