import DiskImages
import DiskTransfer
import Glibc
import HostBackend
import Support
import SystemPackage

/// The destination's end of one live migration: takes disks, memory and at last the guest. Runs on a thread of its own.
///
/// The guest does not run here before the source has said so by another way; until then it is kept in the machine's
/// file. When the connection ends earlier, complete disks stay until the machine is abandoned.
struct ArrivalSession {
    let socket: MigrationSocket
    let machine: SimulatedMachine
    let migration: String

    /// The disks' paths here, by the number that the source gives them.
    private let paths: [String]
    private var disk: (path: String, temporary: String, file: FileDescriptor)?
    private var memoryBlocks: UInt64 = 0

    init(_ socket: MigrationSocket, _ machine: SimulatedMachine, migration: String) {
        self.socket = socket
        self.machine = machine
        self.migration = migration
        paths = machine.read { state, _ in state.spec.disks.map(\.path) }
    }

    /// - Returns: whether the guest is here.
    mutating func run() -> Bool {
        do throws(BackendError) {
            while true {
                let (kind, content) = try MigrationFrame.receive(on: socket)
                if try take(kind, content) { return true }
            }
        } catch {
            try? MigrationFrame.send(.failed, Array(error.description.utf8), on: socket)
            closeDisk(keeping: false)
            return false
        }
    }

    private mutating func take(_ kind: MigrationFrame.Kind, _ content: [UInt8]) throws(BackendError) -> Bool {
        switch kind {
        case .disk: try openDisk(try MigrationFrame.object(content))
        case .data: try write(content)
        case .diskEnd:
            closeDisk(keeping: true)
            try finishDisk()
            try MigrationFrame.send(.ok, on: socket)
        case .memory:
            guard content == MigrationFrame.memoryBlock(memoryBlocks) else {
                throw BackendError(.internal, "memory block \(memoryBlocks) arrived damaged")
            }
            memoryBlocks += 1
        case .sync: try MigrationFrame.send(.ok, on: socket)
        case .state:
            try load(try MigrationFrame.object(content))
            try MigrationFrame.send(.loaded, on: socket)
            return true
        case .hello, .ok, .loaded, .failed, .busy:
            throw BackendError(.invalidArgument, "the source said what only a destination says")
        }
        return false
    }

    /// Keeps the guest, in the file too, without letting it run.
    private func load(_ content: JSONObject) throws(BackendError) {
        guard let record = content["guest"]?.objectValue, content["memory_blocks"]?.intValue == Int64(memoryBlocks)
        else { throw BackendError(.internal, "the guest's memory is not complete") }
        try machine.update { state, now throws(BackendError) in
            guard !state.frozen, state.phase == .planned, state.migration == self.migration else {
                throw BackendError(.conflict, "machine \(self.machine.uuid) is not expected any more")
            }
            var guest = Guest(
                name: state.guest.name,
                behaviour: state.guest.behaviour,
                bufferLimit: state.guest.output.limit
            )
            try guest.restore(record, at: now, wall: 0, isResting: true)
            state.incoming = guest
        }
        do {
            try machine.saveNow()
        } catch {
            try machine.update { state, _ throws(BackendError) in state.incoming = nil }
            throw error
        }
    }

    // MARK: Disks

    private mutating func openDisk(_ content: JSONObject) throws(BackendError) {
        guard disk == nil, let number = content["disk"]?.intValue, paths.indices.contains(Int(number)),
            let size = content["size"]?.intValue, size >= 0
        else { throw BackendError(.invalidArgument, "a disk that is not expected") }
        let path = paths[Int(number)]
        guard try FileCalls.status(path) == nil else { throw BackendError(.alreadyExists, "\(path) exists already") }
        let temporary = path + ".partial-" + migration
        try FileCalls.remove(temporary)
        try FileCalls.createSparse(temporary, size: UInt64(size))
        let file = try FileCalls.on(temporary) {
            try FileDescriptor.open(temporary, .writeOnly, options: [.closeOnExec])
        }
        disk = (path, temporary, file)
    }

    private func write(_ content: [UInt8]) throws(BackendError) {
        guard let disk, content.count > 8 else { throw BackendError(.invalidArgument, "data of no disk") }
        let offset = content[..<8].reduce(0) { $0 << 8 | Int64($1) }
        guard offset >= 0 else { throw BackendError(.invalidArgument, "data outside of the disk") }
        try FileCalls.on(disk.temporary) {
            _ = try disk.file.writeAll(toAbsoluteOffset: offset, content[8...])
        }
    }

    /// The file may be used from now on.
    private mutating func finishDisk() throws(BackendError) {
        guard let disk else { throw BackendError(.invalidArgument, "the end of no disk") }
        self.disk = nil
        var isFinished = false
        defer { if !isFinished { try? FileCalls.remove(disk.temporary) } }
        try FileCalls.sync(disk.temporary)
        // Noted before it is there: whatever happens, nothing of it is left when the machine is abandoned.
        try machine.update { state, _ throws(BackendError) in
            try self.checkExpected(state)
            if !state.received.contains(disk.path) { state.received.append(disk.path) }
        }
        try machine.saveNow()
        try FileCalls.rename(disk.temporary, to: disk.path)
        isFinished = true
        do {
            try machine.update { state, _ throws(BackendError) in try self.checkExpected(state) }
        } catch {
            // Abandoned in between, by somebody who did not find it.
            try? FileCalls.remove(disk.path)
            throw error
        }
        try FileCalls.syncDirectory(of: disk.path)
    }

    private func checkExpected(_ state: SimulatedMachine.State) throws(BackendError) {
        guard state.phase == .planned, state.migration == migration else {
            throw BackendError(.conflict, "machine \(machine.uuid) is not expected any more")
        }
    }

    private mutating func closeDisk(keeping: Bool) {
        guard let disk else { return }
        try? disk.file.close()
        guard !keeping else { return }
        try? FileCalls.remove(disk.temporary)
        self.disk = nil
    }
}
