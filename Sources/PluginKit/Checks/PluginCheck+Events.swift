import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let events = [
        PluginCheck(
            "events have uuid, incarnation and time, and count anew in each connection",
            section: "8",
            needs: [.events]
        ) {
            bench in
            for _ in 1...2 {
                let (session, _) = try await bench.fresh()
                let subject = try await PluginSubject(bench)
                let spec = try await subject.newSpec("counted", bare: false)
                try await subject.host.createMachine(spec)
                let incarnation = try await subject.host.machine(spec.uuid).incarnation
                _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
                let event = try await started(spec, session)
                try checkValue(event["incarnation"]?.intValue, Int64(clamping: incarnation), "the event's incarnation")
                let time = event["time"]?.stringValue ?? ""
                let isTime =
                    (try? /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/.wholeMatch(in: time)) != nil
                try check(isTime, "the event's time, as 2026-11-21T14:03:11.250Z", seen: time.debugDescription)
                try await subject.host.deleteMachine(spec.uuid)
                _ = try await happened("removed", spec, session)
            }
        },
        PluginCheck("subscribing twice is the same as once", section: "8", needs: [.events]) { bench in
            let (session, _) = try await bench.fresh()
            let subject = try await PluginSubject(bench)
            _ = try await session.result("events.subscribe")
            let spec = try await subject.newSpec("once", bare: false)
            try await subject.host.createMachine(spec)
            _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
            try await subject.host.deleteMachine(spec.uuid)
            _ = try await happened("removed", spec, session)
            try await session.ping(41)
            let types = session.look { state in
                state.events.filter { $0["uuid"]?.stringValue == spec.uuid.text }.compactMap { $0["type"]?.stringValue }
            }
            try checkEqual(types.count { $0 == "started" }, 1, "how often 'started' is reported")
        },
        PluginCheck("no event comes without a subscription", section: "8", needs: [.events]) { bench in
            // Making the definition's files takes a subject, which subscribes.
            let spec = try await PluginSubject(bench).newSpec("unheard", bare: true)
            let (session, hello) = try await bench.fresh()
            let host = WireHost(caller: WireCaller(session: session, hello: hello))
            try await host.createMachine(spec)
            try await host.deleteMachine(spec.uuid)
            // An event before events.subscribe is a violation, which the session notes.
            try await session.ping(42)
        },
        PluginCheck("events come within half a second", section: "8", needs: [.events], isAdvice: true) { bench in
            let (session, _) = try await bench.fresh()
            let subject = try await PluginSubject(bench)
            let spec = try await subject.newSpec("prompt", bare: false)
            try await subject.host.createMachine(spec)
            _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
            let answered = ContinuousClock.now
            _ = try await started(spec, session)
            let late = session.look { $0.eventTimes.last ?? answered } - answered
            try await subject.host.deleteMachine(spec.uuid)
            try check(late < .milliseconds(500), "'started' within 500 ms of the answer", seen: "after \(late)")
        },
    ]

    private static func started(_ spec: MachineSpec, _ session: WireSession) async throws -> JSONObject {
        try await happened("started", spec, session)
    }

    private static func happened(_ type: String, _ spec: MachineSpec, _ session: WireSession) async throws -> JSONObject
    {
        try await session.until("the event '\(type)' of the machine") { state in
            state.events.first { $0["uuid"]?.stringValue == spec.uuid.text && $0["type"]?.stringValue == type }
        }
    }
}
