import HostBackend
import Support
import Synchronization

extension ConformanceCheck {
    static let migrations = [
        ConformanceCheck(
            "a machine moves to another host, and its console goes on there",
            section: "7.6",
            needs: [.liveMigration]
        ) { subject in
            try await MigrationPair.run(subject, "moving") { try await moves($0) }
        },
        ConformanceCheck(
            "a machine moves without its disks where both hosts see them",
            section: "7.6",
            needs: [.liveMigration, .liveStorageMigration]
        ) { subject in
            try await MigrationPair.run(subject, "sharing", sharing: true) { try await moves($0) }
        },
        ConformanceCheck(
            "a paused machine moves and stays paused",
            section: "7.6",
            needs: [.liveMigration, .migratePaused, .pause]
        ) { subject in
            try await MigrationPair.run(subject, "moving-paused") { pair in
                try await subject.reach(.paused, pair.spec)
                try await pair.move(try await pair.prepare(), .paused)
                try await pair.destination.reach(.running, pair.there)
            }
        },
        ConformanceCheck(
            "a cancelled migration leaves the machine running at one host, and it can move again",
            section: "7.6",
            needs: [.liveMigration, .abortLiveMigration]
        ) { subject in
            try await MigrationPair.run(subject, "staying") { pair in
                let ticket = try await pair.prepare()
                guard try await isCancelled(pair, ticket) else { return try await pair.finish() }
                try await pair.checkStayed()
                if let console = try await console(pair.source, pair.spec) {
                    try await speaks(console, pair.source, pair.spec)
                    await console.close()
                }
                try await pair.move(try await pair.prepare())
            }
        },
        ConformanceCheck(
            "a migration that fails leaves the machine running where it was",
            section: "7.6",
            needs: [.liveMigration]
        ) { subject in
            try await MigrationPair.run(subject, "failing") { pair in
                try await staysInPlace(pair)
                try await refuses(pair)
                // What was agreed on and then given up.
                let ticket = try await pair.prepare()
                try await pair.destination.host.abandonIncoming(pair.uuid)
                do {
                    try await pair.source.host.migrate(pair.uuid, ticket) { _ in }
                } catch is BackendError {
                    return try await pair.checkStayed()
                }
                // A hypervisor that needs no preparation has moved it all the same.
                try await pair.finish()
            }
        },
    ]

    private static func moves(_ pair: MigrationPair) async throws {
        let first = try await console(pair.source, pair.spec)
        if let first { try await pair.source.booted(first) }
        _ = try await pair.prepare()
        // The answer may have been lost: the second is the one that holds.
        let ticket = try await pair.prepare()
        if pair.source.host.capabilities.has(.consoleExclusive) { await first?.close() }
        try await pair.move(ticket)
        guard let first, let second = try await console(pair.destination, pair.there) else { return }
        let before = pair.source.host.capabilities.has(.consoleExclusive) ? first.text : try await first.untilEnd()
        try await speaks(second, pair.destination, pair.there)
        let isKept = pair.source.host.capabilities.has(.consoleResumable)
        try goesOn(before, await text(second.close()), isKept: isKept)
    }

    /// - Returns: whether it was; `false` = the machine has left.
    private static func isCancelled(_ pair: MigrationPair, _ ticket: MigrationTicket) async throws -> Bool {
        let (phases, isOver) = (MigrationPhases(), Flag())
        let host = pair.source.host
        let uuid = pair.uuid
        // Ends with the migration, which is cancelled below and awaited.
        let migration = Task {
            defer { isOver.set() }
            try await host.migrate(uuid, ticket) { phases.add($0) }
        }
        do {
            try await waitUntil("progress of the migration") { !phases.isEmpty || isOver.isSet }
        } catch {
            migration.cancel()
            _ = await migration.result
            throw error
        }
        migration.cancel()
        do {
            try await migration.value
            return false
        } catch let error as BackendError {
            try checkEqual(error.code, .cancelled, "the error of a cancelled migration")
        } catch is CancellationError {}
        return true
    }

    /// Abandoning and finishing a migration that there is not takes nothing away.
    private static func staysInPlace(_ pair: MigrationPair) async throws {
        let (source, destination) = (pair.source.host, pair.destination.host)
        for body in [
            { try await source.abandonIncoming(pair.uuid) }, { try await source.finishOutgoing(pair.uuid) },
            { try await source.takeBack(pair.uuid) }, { try await destination.abandonIncoming(pair.uuid) },
            { try await destination.finishOutgoing(pair.uuid) },
        ] as [() async throws -> Void] {
            do {
                try await body()
            } catch is BackendError {
                // Refused is as good.
            }
            try checkEqual(try await source.machine(pair.uuid).state, .running, "the state of a machine that stays")
        }
        try await checkFails(.notFound, what: "migrate.finishIncoming of a machine that did not come") {
            try await destination.finishIncoming(pair.uuid)
        }
    }

    /// Migrations that make no sense, the machine untouched.
    private static func refuses(_ pair: MigrationPair) async throws {
        let host = pair.source.host
        try await checkFails(.invalidArgument, what: "migrate.checkOutgoing with the ticket of nobody") {
            _ = try await host.checkOutgoing(pair.uuid, [:])
        }
        try await checkFails(.invalidArgument, what: "migrate.start with the ticket of nobody") {
            try await host.migrate(pair.uuid, [:]) { _ in }
        }
        let ticket = try await pair.agree()
        let nobody = try await pair.source.newSpec("nobody", bare: true)
        try await checkFails(.notFound, what: "migrate.start of a machine that there is not") {
            try await host.migrate(nobody.uuid, ticket) { _ in }
        }
        let options = MigrationOptions(copyStorage: pair.copiesDisks, destination: pair.source.address)
        try await checkFails(.alreadyExists, what: "migrate.checkIncoming of a machine that is here") {
            _ = try await host.checkIncoming(pair.spec, options)
        }
        try await pair.source.reach(.off, pair.spec)
        try await checkFails(.invalidState, what: "migrate.checkOutgoing of a machine that is off") {
            _ = try await host.checkOutgoing(pair.uuid, ticket)
        }
        try await pair.source.reach(.running, pair.spec)
    }

    // MARK: Consoles

    private static func console(_ subject: any ConformanceSubject, _ spec: MachineSpec) async throws -> ConsoleReader? {
        guard subject.host.capabilities.has(.consoleOutput) else { return nil }
        return try await ConsoleReader(subject.host.openConsole(spec.uuid))
    }

    /// Something new comes, at the latest when somebody types.
    private static func speaks(
        _ reader: ConsoleReader,
        _ subject: any ConformanceSubject,
        _ spec: MachineSpec
    ) async throws {
        let count = reader.bytes().count
        if subject.host.capabilities.has(.consoleInput) {
            try await subject.host.writeConsole(spec.uuid, Array("kit\r\n".utf8))
        } else if subject.bootText == nil {
            return
        }
        try await waitUntil("output on the console", limit: limit) { reader.bytes().count > count }
    }

    /// A guest that numbers its lines shows whether it is the same one, and what of it got lost on the way.
    private static func goesOn(_ before: String, _ after: String, isKept: Bool) throws {
        let seen = countedLines(before)
        guard let last = seen.last else { return }
        // What is kept is whole, also when the seam is in the middle of a line.
        let following = isKept ? countedLines(before + after).dropFirst(seen.count) : countedLines(after)[...]
        guard let next = following.first else { return }
        try check(isKept ? next == last + 1 : next >= last, "line \(last + 1) after line \(last)", seen: "line \(next)")
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The numbers of whole lines that end like `line 7` or `tick 7`.
    private static func countedLines(_ text: String) -> [UInt64] {
        text.matches(of: /(?:line|tick) (\d+)[^\n]*\n/).compactMap { UInt64($0.output.1) }
    }
}

/// Something that has happened.
private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
