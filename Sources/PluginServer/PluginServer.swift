package import HostBackend
import JSONCodec
package import Logging
package import PluginProtocol
package import Support
import Synchronization

/// A host of ours on the plugin's side of the protocol: answers requests, sends events, streams consoles.
///
/// Requests run side by side, at most ``maximumParallel``; more wait in line. It ends when the worker closes or breaks
/// the protocol; what runs then is cancelled, machines keep running.
package final class PluginServer: PluginChannelReceiver {
    package static let maximumParallel = 64

    struct State {
        var decoder = PluginFrameDecoder()
        var hello: WorkerHello?
        var isOver = false
        var running: [Int64: Task<Void, Never>] = [:]
        var streams: [UInt32: ServedConsole] = [:]
        var open: [InstanceUUID: UInt32] = [:]
        var lastStream: UInt32 = 0
        var isSubscribed = false
        var status: Int32 = 0
        /// Machines that move to another host, or have.
        var departures: [InstanceUUID: Departure] = [:]
        /// Where what machines printed is kept; `nil` = the host keeps nothing itself.
        var spoolDirectory: String?
    }

    enum Departure { case underWay, gone }

    /// A host and where its images are.
    package struct Served: Sendable {
        package var host: any HostBackend
        /// Directories that images may be read from, and exported to.
        package var imageDirectories: [String]

        package init(_ host: any HostBackend, imageDirectories: [String]) {
            self.host = host
            self.imageDirectories = imageDirectories
        }
    }

    /// What the server says of its host.
    package struct Identity: Sendable {
        package var name: String
        package var version: String
        /// Stable identity of the hypervisor host.
        package var hostID: String

        package init(name: String, version: String, hostID: String) {
            self.name = name
            self.version = version
            self.hostID = hostID
        }
    }

    let identity: Identity
    /// Makes the host, once the worker has said where its directories are.
    private let makeHost: @Sendable (WorkerHello) async throws -> Served
    let logger: Logger
    let state = Mutex(State())
    let channelBox = Mutex<PluginChannel?>(nil)
    private let servedBox = Mutex<(host: any HostBackend, paths: ServedPaths)?>(nil)
    private let messages: AsyncStream<WorkerMessage>
    private let messageSink: AsyncStream<WorkerMessage>.Continuation

    package init(
        identity: Identity,
        logger: Logger,
        makeHost: @escaping @Sendable (WorkerHello) async throws -> Served
    ) {
        self.identity = identity
        self.logger = logger
        self.makeHost = makeHost
        // Bounded by what the worker may have under way; what it sends beyond is read later, because the channel rests.
        (messages, messageSink) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    /// Serves one worker until it goes.
    ///
    /// - Returns: the exit status that the program should have.
    package func run(_ channel: PluginChannel) async -> Int32 {
        channelBox.withLock { $0 = channel }
        channel.start(self)
        await withDiscardingTaskGroup { group in
            for await message in messages {
                switch message {
                case .hello(let hello): await begin(hello, &group)
                case .request(let request): serve(request)
                case .cancel(let id): state.withLock { $0.running[id] }?.cancel()
                case .credit(let stream, let bytes): state.withLock { $0.streams[stream] }?.grant(Int(clamping: bytes))
                case .ping(let id): send(.pong(id: id))
                case .pong: break
                case .goodbye: logger.info("the worker says goodbye")
                }
            }
            await finish()
            group.cancelAll()
        }
        // What was said last is on its way.
        while channel.waiting > 0 {
            do { try await Task.sleep(for: .milliseconds(5)) } catch { break }
        }
        channel.close()
        return state.withLock { $0.status }
    }

    private func finish() async {
        let (running, streams) = state.withLock { state in
            state.isOver = true
            return (Array(state.running.values), Array(state.streams.values))
        }
        for task in running { task.cancel() }
        for stream in streams { await stream.close() }
        for task in running { await task.value }
        await served?.host.disconnect()
    }

    /// The host in service, and the paths that may be named to it.
    var served: (host: any HostBackend, paths: ServedPaths)? { servedBox.withLock { $0 } }

    // MARK: Handshake

    private func begin(_ hello: WorkerHello, _ group: inout DiscardingTaskGroup) async {
        guard let version = PluginVersion.spoken.first(where: { hello.versions.contains($0) }) else {
            send(Self.greeting(hello, identity, version: nil, HostCapabilities(flags: []), nil))
            return end(PluginVersion.incompatibleStatus)
        }
        do {
            let made = try await makeHost(hello)
            let host = made.host
            try await host.connect()
            let paths = ServedPaths(instances: hello.instancesDirectory, images: made.imageDirectories)
            servedBox.withLock { $0 = (host, paths) }
            let info = try await host.hostInfo()
            var capabilities = host.capabilities
            capabilities.flags.insert(.cancelJobs)
            if hello.stateDirectory.isEmpty { capabilities.flags.remove(.consoleResumable) }
            if capabilities.has(.consoleResumable) {
                state.withLock { $0.spoolDirectory = hello.stateDirectory + "/consoles" }
            }
            send(Self.greeting(hello, identity, version: version, capabilities, info))
            let events = host.events()
            group.addTask { await self.forward(events) }
        } catch {
            send(.error(PluginFault(error)))
            end(1)
        }
    }

    private static func greeting(
        _ hello: WorkerHello,
        _ identity: Identity,
        version: Int?,
        _ capabilities: HostCapabilities,
        _ info: HostInfo?
    ) -> PluginMessage {
        .hello(
            PluginHello(
                version: version,
                nonce: hello.nonce,
                name: identity.name,
                pluginVersion: identity.version,
                hostID: identity.hostID,
                hostName: info?.hypervisorHostname ?? "",
                hypervisorType: info?.hypervisorType ?? "",
                hypervisorVersion: info?.hypervisorVersion ?? 0,
                capabilities: capabilities,
                maximumParallel: maximumParallel,
                consoleBuffer: ServedConsole.bufferBytes
            )
        )
    }

    /// Sends events once the worker has asked for them; those before are kept by the host.
    private func forward(_ events: AsyncStream<MachineEvent>) async {
        var sequence: UInt64 = 0
        for await event in events {
            while !state.withLock({ $0.isSubscribed }) {
                do { try await Task.sleep(for: .milliseconds(5)) } catch { return }
            }
            sequence += 1
            let event = PluginEvent(
                sequence: sequence,
                uuid: event.uuid,
                incarnation: event.incarnation,
                kind: event.kind,
                time: PluginTime.now
            )
            send(.event(event))
        }
    }

    // MARK: Requests

    private func serve(_ request: PluginRequest) {
        state.withLock { state in
            guard state.hello != nil, !state.isOver else { return }
            // Cancelled by the worker's word or by ``finish()``, which awaits it too. Under the lock, so that it finds
            // its place when it leaves it.
            state.running[request.id] = Task { await self.answer(request) }
        }
    }

    private func answer(_ request: PluginRequest) async {
        do {
            let result = try await limited(request)
            send(.result(id: request.id, result))
            // The worker knows the stream from the answer, so its bytes come behind it.
            if request.method == PluginMethod.consoleOpen.rawValue, let id = result["stream"]?.intValue {
                let stream = UInt32(clamping: id)
                state.withLock { $0.streams[stream] }?.start(id: stream, server: self)
            }
        } catch {
            send(.fault(id: request.id, await fault(error, of: request)))
        }
        state.withLock { $0.running[request.id] = nil }
    }

    /// The error for the wire; `invalid_state` says which state it is (section 5).
    private func fault(_ error: any Error, of request: PluginRequest) async -> PluginFault {
        if let refusal = error as? ServedPaths.Refusal {
            return PluginFault(
                .invalidArgument,
                "\(request.method): \(refusal)",
                details: ["field": .string(refusal.field)]
            )
        }
        var fault = PluginFault(error)
        guard fault.code == .invalidState, let text = request.params["uuid"]?.stringValue,
            let uuid = InstanceUUID(text), let machine = try? await served?.host.machine(uuid)
        else { return fault }
        fault.details["state"] = .string(machine.state.rawValue)
        return fault
    }

    private func limited(_ request: PluginRequest) async throws -> JSONObject {
        guard let limit = request.deadline else { return try await perform(request) }
        do {
            return try await withDeadline(.milliseconds(limit)) { try await self.perform(request) }
        } catch is DeadlineExceeded {
            throw BackendError(.timeout, "\(request.method) was not done within \(limit) ms")
        }
    }

    // MARK: Wire

    func send(_ message: PluginMessage) {
        do {
            try write(try PluginFrame.bytes(of: message.json))
        } catch {
            logger.warning("a message to the worker was lost", metadata: ["error": "\(error)"])
        }
    }

    func write(_ bytes: [UInt8]) throws {
        try channelBox.withLock { $0 }?.send(bytes)
    }

    /// Bytes that the worker has not taken.
    var backlog: Int { channelBox.withLock { $0 }?.waiting ?? 0 }

    private func end(_ status: Int32) {
        state.withLock { state in
            state.isOver = true
            state.status = status
        }
        messageSink.finish()
    }

    package func received(_ bytes: [UInt8]) -> Duration? {
        do {
            let messages = try state.withLock { state in
                state.decoder.append(bytes)
                var messages: [WorkerMessage] = []
                while let frame = try state.decoder.next() {
                    guard case .message(let payload) = frame,
                        let message = try WorkerMessage(PluginFrame.object(of: payload))
                    else { continue }
                    if case .hello(let hello) = message { state.hello = hello }
                    messages.append(message)
                }
                return messages
            }
            for message in messages { messageSink.yield(message) }
            return state.withLock { $0.running.count } > Self.maximumParallel ? .milliseconds(20) : nil
        } catch {
            logger.error("the worker broke the protocol", metadata: ["error": "\(error)"])
            end(1)
            return nil
        }
    }

    package func ended(_ error: SystemCallError?) { messageSink.finish() }
}
