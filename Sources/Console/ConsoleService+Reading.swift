package import HostBackend

/// Reading: works in every state of a machine, with the backend down, and while the log is written and rotated. Looking
/// at an instance that never printed creates nothing.
extension ConsoleService {
    /// The console as text (VMOps semantics, section 7.6).
    ///
    /// - Parameter tailLength: lines from the end; `nil` or negative for all that is retained, at most
    ///   ``ConsoleSettings/maxReplyBytes``.
    /// - Throws: ``ConsoleError``, `notAvailable` for a machine without a console.
    package func output(_ uuid: InstanceUUID, directory: String, tailLength: Int?) async throws -> String {
        let settings = settings
        return try await withEntry(uuid, directory) { entry in
            let lines = tailLength.flatMap { $0 < 0 ? nil : $0 }
            let tail = try await files(entry) { try $0.tail(lines: lines, maxBytes: settings.maxReplyBytes) }
            if tail.data.isEmpty, entry.current?.snapshot.hasNoConsole == true {
                throw ConsoleError(.notAvailable, "machine \(uuid) has no console")
            }
            return tail.text(settings)
        }
    }

    /// Up to `maxBytes` bytes from an absolute offset, see ``SegmentStore/read(from:maxBytes:)``.
    package func read(
        _ uuid: InstanceUUID,
        directory: String,
        offset: Int64,
        maxBytes: Int
    ) async throws -> ConsoleChunk {
        let most = min(maxBytes, settings.maxReplyBytes)
        return try await withEntry(uuid, directory) { entry in
            try await files(entry) { try $0.read(from: offset, maxBytes: most) }
        }
    }

    /// Boundaries, oldest first.
    package func marks(_ uuid: InstanceUUID, directory: String) async throws -> [ConsoleMark] {
        try await withEntry(uuid, directory) { entry in try await files(entry) { try $0.marks() } }
    }

    /// State and counters. For a machine that is captured this waits for no disk.
    package func status(_ uuid: InstanceUUID, directory: String) async throws -> ConsoleStatus {
        try await withEntry(uuid, directory) { entry in
            let session = entry.current?.snapshot
            let counters = entry.log.buffer.counters
            var progress = entry.log.progress
            if session == nil { progress.range = try await files(entry) { try $0.range() } }
            let failure = progress.failure
            let isWorking = session.map { $0.state != .idle && $0.state != .closed } ?? false
            return ConsoleStatus(
                state: failure != nil && isWorking ? .failed : session?.state ?? .closed,
                bytesIn: counters.bytesIn,
                bytesWritten: progress.bytesWritten,
                bytesDropped: counters.dropped,
                bytesPending: Int64(counters.held),
                rotations: progress.rotations,
                reconnects: Int64(session?.reconnects ?? 0),
                lastByteTime: counters.lastByteTime,
                firstOffset: progress.range.lowerBound,
                endOffset: progress.range.upperBound,
                problem: failure.map { "\($0)" } ?? session?.lastError
            )
        }
    }

    /// Returns as soon as the log reaches beyond `offset`, or after `limit`.
    ///
    /// - Returns: the log's end.
    package func waitForOutput(
        _ uuid: InstanceUUID,
        directory: String,
        beyond offset: Int64,
        limit: Duration
    ) async throws -> Int64 {
        try await withEntry(uuid, directory) { entry in
            let end = try await files(entry) { try $0.range().upperBound }
            if end > offset { return end }
            await entry.log.wait(beyond: offset, limit: limit)
            return try await files(entry) { try $0.range().upperBound }
        }
    }

    /// What is in the log from `offset` on and what is captured later, until the reader stops asking. Goes on across
    /// rotations, stops and starts of the machine; a chunk that begins beyond the end of the one before it says that the
    /// bytes between were not retained any more. A negative offset counts from the end.
    package func follow(_ uuid: InstanceUUID, directory: String, from offset: Int64) -> ConsoleFollower {
        ConsoleFollower(service: self, uuid: uuid, directory: directory, offset: offset)
    }
}

/// A growing log as a sequence of chunks. Nothing runs between two calls of `next()`.
package struct ConsoleFollower: AsyncSequence, Sendable {
    package struct AsyncIterator: AsyncIteratorProtocol {
        private static let patience = Duration.seconds(30)

        fileprivate let follower: ConsoleFollower
        fileprivate var offset: Int64

        /// The next bytes, never none; `nil` when the task was cancelled.
        package mutating func next() async throws -> ConsoleChunk? {
            let service = follower.service
            while !Task.isCancelled {
                let chunk = try await service.read(
                    follower.uuid,
                    directory: follower.directory,
                    offset: offset,
                    maxBytes: .max
                )
                offset = chunk.nextOffset
                if !chunk.data.isEmpty { return chunk }
                _ = try await service.waitForOutput(
                    follower.uuid,
                    directory: follower.directory,
                    beyond: offset,
                    limit: Self.patience
                )
            }
            return nil
        }
    }

    fileprivate let service: ConsoleService
    fileprivate let uuid: InstanceUUID
    fileprivate let directory: String
    fileprivate let offset: Int64

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(follower: self, offset: offset) }
}
