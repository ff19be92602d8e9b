import Glibc
import HostBackend
import HostConformance
import Support
import Synchronization

/// A plugin on directories of its own: starts it, and starts it again, and knows what was made with it.
///
/// One process or connection lives at a time. Checks are made one after the other.
final class PluginBench: Sendable {
    private struct State {
        var current: WireSession?
        var hello: PluginHello?
        var violations: [WireViolation] = []
        var uuids: [InstanceUUID] = []
        var second: Second?
    }

    /// The second host, for migrations.
    private struct Second {
        let bench: PluginBench
        let isSharing: Bool
    }

    let settings: PluginKitSettings
    /// The host's name on the message queue.
    let name: String
    let instances: String
    private let root: String
    /// The host's own, as the worker has it: below the state path.
    private let directory: String
    private let reactor: Reactor
    private let state = Mutex(State())

    /// - Parameters:
    ///   - root: an empty one, short enough for a socket's path; whoever made it removes it.
    ///   - instances: the directory of instances; `nil` = the host has its own.
    init(
        _ settings: PluginKitSettings,
        root: String,
        name: String = "conformance",
        instances: String? = nil
    ) throws {
        self.settings = settings
        self.root = root
        self.name = name
        directory = root + "/" + name
        self.instances = instances ?? directory + "/instances"
        reactor = try Reactor(name: "plugin-kit")
        for path in [self.instances, directory + "/plugin"] { try makeDirectories(path) }
    }

    /// The second host, in directories of its own.
    ///
    /// - Parameter sharing: whether it is to see the first one's instances.
    /// - Throws: ``CheckSkipped`` when there can be none.
    func second(sharing: Bool) async throws -> PluginBench {
        if let second = state.withLock({ $0.second }) {
            if second.isSharing == sharing { return second.bench }
            await second.bench.cleanUp()
        }
        guard settings.shape == .child || settings.secondCommand != nil else {
            throw CheckSkipped("no second plugin was named (--second-command)")
        }
        var settings = settings
        settings.command = settings.secondCommand ?? settings.command
        settings.options.merge(settings.secondOptions) { $1 }
        let (root, instances) = (root + (sharing ? "/b" : "/a"), sharing ? instances : nil)
        let made = settings
        let bench = try await BlockingPool.shared.run {
            try PluginBench(made, root: root, name: "second", instances: instances)
        }
        state.withLock { $0.second = Second(bench: bench, isSharing: sharing) }
        return bench
    }

    // MARK: Starting

    /// All that a plugin's environment has (section 1).
    var environment: [String: String] {
        var variables = ["LANG": "C.UTF-8", "VMOPS_PLUGIN": "1"]
        for name in ["PATH", "HOME"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return variables.merging(settings.environment) { $1 }
    }

    /// The members of the handshake that one-shot plugins get with every request.
    var common: JSONObject {
        [
            "host": .string(name), "instances_directory": .string(instances),
            "state_directory": .string(directory + "/plugin"),
            "options": .object(
                JSONObject(settings.options.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
            ),
        ]
    }

    func helloMessage(nonce: String = UniqueID.make(), _ changes: JSONObject = [:]) -> JSONObject {
        var hello: JSONObject = [
            "kind": "hello", "protocol": "vmops-plugin", "versions": [1],
            "worker": ["name": "vmopsctl plugin check", "version": "1"], "nonce": .string(nonce),
            "limits": ["max_frame": 1_048_576],
        ]
        for (name, value) in common { hello[name] = value }
        for (name, value) in changes { hello[name] = value }
        return hello
    }

    /// Ends what runs, and starts the plugin anew without a word.
    ///
    /// - Parameter environment: in place of the usual one.
    func start(environment other: [String: String]? = nil) async throws -> WireSession {
        await stop()
        let session: WireSession
        if settings.shape == .socket {
            session = WireSession(
                socket: try await connected(),
                exitLimit: settings.exitLimit,
                reactor: reactor
            )
        } else {
            let process = try await PluginProcess(settings.command, environment: other ?? environment, reactor: reactor)
            session = WireSession(process: process, exitLimit: settings.exitLimit, reactor: reactor)
        }
        session.start()
        state.withLock { $0.current = session }
        return session
    }

    /// The service behind a socket may be about to listen again.
    private func connected() async throws -> Int32 {
        let path = settings.command.first ?? ""
        let deadline = ContinuousClock.now + settings.startLimit
        while true {
            do {
                return try Descriptors.connect(path)
            } catch {
                guard ContinuousClock.now < deadline else {
                    throw CheckFailure(expected: "a plugin that listens on \(path)", seen: "\(error)")
                }
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The same, with the handshake.
    func fresh() async throws -> (session: WireSession, hello: PluginHello) {
        let session = try await start()
        let hello = PluginHello(try await greet(session))
        state.withLock { $0.hello = hello }
        return (session, hello)
    }

    /// Sends the worker's `hello` and waits for the plugin's.
    func greet(_ session: WireSession, nonce: String = UniqueID.make(), _ changes: JSONObject = [:]) async throws
        -> JSONObject
    {
        try await session.send(helloMessage(nonce: nonce, changes))
        return try await session.until("the plugin's hello", within: settings.startLimit) { state in
            if let refusal = state.refusal {
                throw CheckFailure(
                    expected: "the plugin's hello",
                    seen: "the error \(refusal.code): \(refusal.message)"
                )
            }
            return state.hello
        }
    }

    /// The connection that is there, or a fresh one.
    func connection() async throws -> (session: WireSession, hello: PluginHello) {
        let (current, hello) = state.withLock { ($0.current, $0.hello) }
        if let current, let hello, !current.hasEnded, current.look({ $0.hello != nil }) { return (current, hello) }
        return try await fresh()
    }

    /// Whatever carries requests to this plugin.
    func caller() async throws -> any PluginCaller {
        guard settings.shape == .oneshot else {
            let (session, hello) = try await connection()
            return WireCaller(session: session, hello: hello)
        }
        return try await oneShot()
    }

    func oneShot() async throws -> OneShotCaller {
        func caller(_ hello: PluginHello) -> OneShotCaller {
            OneShotCaller(command: settings.command, environment: environment, common: common, hello: hello)
        }
        if let hello = state.withLock({ $0.hello }) { return caller(hello) }
        let document = try await caller(PluginHello([:])).call("hello", [:], deadline: settings.startLimit)
        let hello = PluginHello(document)
        state.withLock { $0.hello = hello }
        return caller(hello)
    }

    /// Asks, whatever the shape.
    func request(_ method: String, _ params: JSONObject = [:]) async throws -> WireAnswer {
        if settings.shape == .oneshot {
            let run = try await oneShot().run(method, params, deadline: .seconds(60))
            return try OneShotCaller.answer(run, to: method)
        }
        return try await connection().session.request(method, params)
    }

    /// Asks for something that has to fail with one of these codes.
    @discardableResult
    func error(_ codes: [BackendError.Code], _ method: String, _ params: JSONObject, what: String) async throws
        -> WireError
    {
        let answer = try await request(method, params)
        guard case .error(let error) = answer, codes.contains(where: { $0.rawValue == error.code }) else {
            let names = codes.map(\.rawValue).joined(separator: " or ")
            throw CheckFailure(expected: "\(what) is answered with \(names)", seen: answer.summary)
        }
        return error
    }

    // MARK: Ending

    /// Ends what runs; what it did wrong is kept.
    func stop() async {
        await state.withLock { $0.second }?.bench.stop()
        guard let session = state.withLock({ $0.current }) else { return }
        await session.end()
        state.withLock { state in
            state.violations += session.violations
            state.current = nil
        }
    }

    /// What the plugin did against the protocol since the last call.
    func takeViolations() -> [WireViolation] {
        let others = state.withLock { $0.second }?.bench.takeViolations() ?? []
        return others
            + state.withLock { state in
                defer { state.violations = [] }
                let present = state.current?.look { current in
                    defer { current.violations = [] }
                    return current.violations
                }
                return state.violations + (present ?? [])
            }
    }

    /// Deletes every machine of which a check has made the definition, and ends the plugin.
    func cleanUp() async {
        await state.withLock { $0.second }?.bench.cleanUp()
        let uuids = state.withLock { $0.uuids }
        if let caller = try? await caller() {
            for uuid in uuids {
                do {
                    _ = try await caller.call("machine.delete", ["uuid": .string(uuid.text)], deadline: .seconds(20))
                } catch is BackendError {
                    continue
                } catch {
                    break
                }
            }
        }
        await stop()
    }

    func remember(_ uuid: InstanceUUID) { state.withLock { $0.uuids.append(uuid) } }
}
