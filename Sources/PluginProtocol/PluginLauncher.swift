import Glibc
package import Logging
package import Processes
package import Support

/// Starts plugins and connects to them. One thread serves all the connections of one launcher.
///
/// Makes the process ignore the broken-pipe signal, which a plugin that ends would raise.
package final class PluginLauncher: Sendable {
    package let reactor: Reactor
    private let processes: Processes

    package init(name: String, logger: Logger) throws(PluginError) {
        signal(SIGPIPE, SIG_IGN)
        do {
            reactor = try Reactor(name: name)
        } catch {
            throw PluginError(.start, "no thread for plugins: \(error)")
        }
        processes = Processes(reactor: reactor, logger: logger)
    }

    /// Starts the program in a session and process group of its own, with nothing open but its standard streams.
    /// Blocks until it is executed.
    ///
    /// - Parameters:
    ///   - receiver: takes its standard output; not kept alive.
    ///   - log: takes its standard error, line by line, on the launcher's thread.
    package func start(
        _ command: PluginCommand,
        receiver: any PluginChannelReceiver,
        log: @escaping @Sendable (PluginLogLine) -> Void
    ) throws(PluginError) -> PluginChild {
        let input = try PluginDescriptors.pipe(oursReads: false)
        let output: (ours: Int32, theirs: Int32)
        let errors: (ours: Int32, theirs: Int32)
        do {
            output = try PluginDescriptors.pipe(oursReads: true)
        } catch {
            for end in [input.ours, input.theirs] { close(end) }
            throw error
        }
        do {
            errors = try PluginDescriptors.pipe(oursReads: true)
        } catch {
            for end in [input.ours, input.theirs, output.ours, output.theirs] { close(end) }
            throw error
        }
        defer { for end in [input.theirs, output.theirs, errors.theirs] { close(end) } }
        let channel = PluginChannel(reading: output.ours, writing: input.ours, reactor: reactor)
        let errorChannel = PluginChannel(reading: errors.ours, writing: -1, reactor: reactor)
        var environment = command.environment
        environment[PluginVersion.cookie] = "1"
        var detached = DetachedCommand(
            executable: command.executable,
            arguments: command.arguments,
            environment: environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
            workingDirectory: command.workingDirectory
        )
        detached.standardStreams = DetachedCommand.StandardStreams(
            input: input.theirs,
            output: output.theirs,
            error: errors.theirs
        )
        detached.endsItsGroup = true
        let identity: ProcessIdentity
        do {
            identity = try processes.start(detached)
        } catch {
            throw PluginError(.start, "the plugin cannot be started: \(error)")
        }
        let reader = PluginLogReader(log)
        errorChannel.start(reader)
        channel.start(receiver)
        return PluginChild(identity, processes, channel: channel, errors: errorChannel, reader: reader)
    }

    /// This process' own standard input and output, for a program that is a plugin itself. What anybody else writes to
    /// standard output goes to standard error from then on.
    package func standardStreams() throws(PluginError) -> PluginChannel {
        let (input, output) = try PluginDescriptors.takeStandardStreams()
        return PluginChannel(reading: input, writing: output, reactor: reactor)
    }

    /// Connects to a service's socket.
    ///
    /// - Parameter user: who must listen there; `nil` = root or this process' own user.
    package func connect(
        to path: String,
        user: UInt32? = nil,
        receiver: any PluginChannelReceiver
    ) throws(PluginError) -> PluginChannel {
        let descriptor = try PluginDescriptors.connect(to: path)
        let allowed: [UInt32] = user.map { [$0] } ?? [0, geteuid()]
        guard let peer = PluginDescriptors.peer(descriptor), allowed.contains(peer) else {
            close(descriptor)
            throw PluginError(.start, "\(path) is served by a user who may not")
        }
        let channel = PluginChannel(reading: descriptor, writing: descriptor, reactor: reactor)
        channel.start(receiver)
        return channel
    }
}

/// A plugin that was started.
package final class PluginChild: Sendable {
    /// How long it may take to obey each step of its end (plugin protocol, section 10).
    package static let patience = Duration.seconds(2)

    package let identity: ProcessIdentity
    package let channel: PluginChannel
    private let processes: Processes
    private let errors: PluginChannel
    private let reader: PluginLogReader

    fileprivate init(
        _ identity: ProcessIdentity,
        _ processes: Processes,
        channel: PluginChannel,
        errors: PluginChannel,
        reader: PluginLogReader
    ) {
        self.identity = identity
        self.processes = processes
        self.channel = channel
        self.errors = errors
        self.reader = reader
    }

    /// Closes its input, and if it does not end by itself terminates and at last kills it, with its process group.
    ///
    /// - Parameter patience: how long its own end is waited for; nothing for one that is hung.
    /// - Returns: how it ended; its output is closed then.
    @discardableResult
    package func end(patience: Duration = PluginChild.patience) async -> ProcessEnd {
        channel.finishWriting()
        // Awaited right here; a task of its own so that a caller who is cancelled sees it through all the same.
        return await Task { await self.carryOutEnd(patience) }.value
    }

    private func carryOutEnd(_ patience: Duration) async -> ProcessEnd {
        var end = await waitForEnd(patience)
        for number in [SIGTERM, SIGKILL] where end == nil {
            processes.signal(identity, number)
            end = await waitForEnd(number == SIGKILL ? .seconds(10) : Self.patience)
        }
        channel.close()
        // Its last words may still be on their way.
        for _ in 0..<20 where !reader.isOver { try? await Task.sleep(for: .milliseconds(10)) }
        errors.close()
        return end ?? .unknown
    }

    /// Kills it and its process group.
    package func kill() { processes.signal(identity, SIGKILL) }

    package func signal(_ number: Int32) { processes.signal(identity, number) }

    package func waitForEnd() async -> ProcessEnd { await processes.waitForEnd(identity) }

    /// `nil` when it lives on.
    private func waitForEnd(_ limit: Duration) async -> ProcessEnd? {
        let (processes, identity) = (processes, identity)
        return await withTaskGroup(of: ProcessEnd?.self) { group in
            group.addTask { await processes.waitForEnd(identity) }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first == .waitCancelled ? nil : first
        }
    }
}
