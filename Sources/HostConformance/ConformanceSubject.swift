package import HostBackend

/// A host under test: how to get one, and machines that fit it.
package protocol ConformanceSubject: Sendable {
    /// The host in service.
    var host: any HostBackend { get }

    /// A definition with a uuid and files of its own. A `bare` one has no disk and need not be able to start.
    func newSpec(_ name: String, bare: Bool) async throws -> MachineSpec

    /// An interface that machines of this host can have; `nil` when the host has no network to try.
    func newInterface() -> NetworkInterface?

    /// Ends the worker's service and begins it again with a new host value, machines untouched.
    func restart() async throws -> any ConformanceSubject

    /// Something that the guest prints once it is up; `nil` = only that it prints.
    var bootText: String? { get }

    /// How many machines the check of many machines makes.
    var machineCount: Int { get }

    /// Whether paths are files of this machine.
    var hasLocalFiles: Bool { get }

    /// A machine of the hypervisor that is somebody else's; `nil` = none is known.
    var foreign: ForeignMachine? { get }

    /// A second host of the kind, in service, that machines of this one can move to. It is given up by ``end()``.
    ///
    /// - Parameter sharing: whether both see one directory with the files of the instances.
    /// - Throws: ``CheckSkipped`` with the reason when there is none to try with.
    func destination(sharing: Bool) async throws -> any ConformanceSubject

    /// How a source knows this host when it is a destination (plugin protocol, section 7.6).
    var address: String { get }

    /// The definition of a machine that comes from another host: the same, its files in a directory of this host, which
    /// is there. For a host that shares the directory this is the same one, by whatever name.
    func arriving(_ spec: MachineSpec) async throws -> MachineSpec

    /// Gives the host up, its machines left as they are.
    func end() async
}

/// A machine that vmops did not make.
package struct ForeignMachine: Sendable, Hashable {
    package var name: String
    /// What the hypervisor itself has for its uuid, if instances could have the same.
    package var uuid: InstanceUUID?

    package init(name: String, uuid: InstanceUUID? = nil) {
        self.name = name
        self.uuid = uuid
    }
}

extension ConformanceSubject {
    package var machineCount: Int { 20 }
    package var hasLocalFiles: Bool { true }
    package func newInterface() -> NetworkInterface? { nil }
    package var foreign: ForeignMachine? { nil }
    package var address: String { "conformance" }
    package func arriving(_ spec: MachineSpec) async throws -> MachineSpec { spec }
    package func end() async { await host.disconnect() }

    package func destination(sharing: Bool) async throws -> any ConformanceSubject {
        throw CheckSkipped("there is no second host to move machines to")
    }

    /// A definition that this host can start.
    package func newSpec(_ name: String) async throws -> MachineSpec { try await newSpec(name, bare: false) }

    /// A machine that is defined and off, for the time of `body`; it is deleted afterwards, whatever happened.
    func withMachine(
        _ name: String,
        bare: Bool = false,
        _ body: (MachineSpec) async throws -> Void
    ) async throws {
        let spec = try await newSpec(name, bare: bare)
        try await host.createMachine(spec)
        do {
            try await body(spec)
        } catch {
            // What went wrong first is what counts.
            try? await host.deleteMachine(spec.uuid)
            throw error
        }
        try await host.deleteMachine(spec.uuid)
    }

    /// The same, running.
    func withRunning(_ name: String, _ body: (MachineSpec) async throws -> Void) async throws {
        try await withMachine(name) { spec in
            try await reach(.running, spec)
            try await body(spec)
        }
    }

    /// Asks for a state, and throws unless it is reached and reported.
    func reach(_ target: TargetState, _ spec: MachineSpec) async throws {
        let reached = try await host.setState(spec.uuid, target, deadline: ConformanceCheck.limit)
        try checkEqual(reached, target.state, "the state reached")
        try checkEqual(try await host.machine(spec.uuid).state, target.state, "the state reported afterwards")
    }

    /// Waits until the guest has printed its boot text, or anything if that is not known.
    func booted(_ reader: ConsoleReader, after count: Int = 0) async throws {
        guard let bootText else {
            return try await waitUntil("output on the console") { reader.bytes().count > count }
        }
        try await waitUntil(
            "\(bootText.debugDescription) on the console",
            limit: ConformanceCheck.limit,
            seen: { reader.tail }
        ) {
            String(decoding: reader.bytes().dropFirst(count), as: UTF8.self).contains(bootText)
        }
    }
}
