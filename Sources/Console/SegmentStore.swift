package import Support

/// A console log on disk (VMOps semantics, section 7.4): `console.log` with the newest bytes, `console.log.1`, `.2` …
/// with older ones, `console.idx` with marks and the absolute count.
///
/// A segment never exceeds the cap. The process may be killed between any two system calls: the files then read back
/// in order, and the count goes on where it was. Without the index the count starts again, with the oldest retained
/// byte at 0. Reading and looking create nothing. A plain value without locks; every call may block, so its owner keeps
/// it on a thread for that, one call at a time.
///
/// After an error the store looks at the disk again before the next call, whatever state the error left.
package struct SegmentStore: Sendable {
    /// A system call about to be made, for tests that fail or interrupt it.
    package enum Step: Sendable, Hashable {
        case open, write, writeIndex, rename, remove, makeDirectory
    }

    struct Segment: Sendable, Hashable {
        let name: String
        let size: Int
    }

    static let current = "console.log"
    static let fresh = "console.log.new"
    static let index = "console.idx"
    static let freshIndex = "console.idx.new"

    /// Bytes of index file that trigger its compaction.
    static let indexCap = 32 * 1024
    /// A segment's cut is moved back to a newline among this many final bytes.
    static let newlineWindow = 80

    package let directory: String
    package var limits: SegmentLimits {
        didSet { if limits != oldValue { forget() } }
    }

    /// Archives by number.
    var archives: [Int: Int] = [:]
    var currentSize: Int?
    /// Absolute offset of the current segment's first byte.
    var currentStart: Int64 = 0
    var isLoaded = false
    var file: ReactorFile?
    var isOpen: Bool { file != nil }
    /// A file that an interrupted rotation, or one that is under way, keeps beside the segments.
    var hasSpare = false
    /// `nil` when only the file knows.
    var endsWithNewline: Bool?
    private var indexBytes = 0
    private var indexEndsClean = true
    var indexIsBehind = false
    let probe: (@Sendable (Step) throws(SystemCallError) -> Void)?

    /// How often a segment became an archive or was replaced.
    package internal(set) var rotations: Int64 = 0

    package init(
        directory: String,
        limits: SegmentLimits,
        probe: (@Sendable (Step) throws(SystemCallError) -> Void)? = nil
    ) {
        self.directory = directory
        self.limits = limits
        self.probe = probe
    }

    func path(_ name: String) -> String { directory + "/" + name }

    func step(_ step: Step) throws(SystemCallError) {
        if let probe { try probe(step) }
    }

    static func archive(_ number: Int) -> String { "\(current).\(number)" }

    /// The retained segments, oldest first.
    var segments: [Segment] {
        archives.sorted { $0.key > $1.key }.map { Segment(name: Self.archive($0.key), size: $0.value) }
            + (currentSize.map { [Segment(name: Self.current, size: $0)] } ?? [])
    }

    /// The absolute offsets that can be read now. Valid after ``load()``.
    var retained: Range<Int64> {
        let end = currentStart + Int64(currentSize ?? 0)
        return (currentStart - Int64(archives.values.reduce(0, +)))..<end
    }

    /// Closes the file and forgets what is known about the disk.
    package mutating func forget() {
        file = nil
        isLoaded = false
    }

    /// Closes the file, to look at the disk again before the next call as after a start, unless something is known that
    /// the disk does not say.
    mutating func rest() {
        if isOpen, !indexIsBehind { forget() }
    }

    // MARK: - Loading

    /// Learns what is on the disk, unless it is known; finishes what an interrupted installation left.
    package mutating func load() throws(SystemCallError) {
        guard !isLoaded else { return }
        file = nil
        archives = [:]
        hasSpare = false
        currentSize = nil
        currentStart = 0
        guard var names = try ReactorDirectory.names(directory) else {
            isLoaded = true
            return
        }
        if try finishInstallation(names) { names = try ReactorDirectory.names(directory) ?? [] }
        hasSpare = names.contains(Self.fresh)
        var currentInode: UInt64?
        for name in names {
            if name == Self.current, let facts = try ReactorDirectory.facts(path(name)) {
                currentSize = facts.size
                currentInode = facts.inode
            } else if let number = Self.archiveNumber(name), let facts = try ReactorDirectory.facts(path(name)) {
                archives[number] = facts.size
            }
        }
        let contents = indexContents
        indexBytes = contents?.bytes ?? 0
        indexEndsClean = contents?.endsClean ?? true
        let archived = Int64(archives.values.reduce(0, +))
        indexIsBehind = true
        if let start = contents?.start {
            if start.inode != 0, start.inode == currentInode {
                currentStart = start.offset - Int64(currentSize ?? 0)
            } else {
                currentStart = start.offset
                indexIsBehind = false
            }
        }
        if currentStart < archived {
            currentStart = archived
            indexIsBehind = true
        }
        isLoaded = true
    }

    private static func archiveNumber(_ name: String) -> Int? {
        guard name.hasPrefix(current + "."), let number = Int(name.dropFirst(current.count + 1)), number > 0,
            archive(number) == name
        else { return nil }
        return number
    }

    /// Runs `body` on a loaded store; an error makes the next call load again.
    mutating func attempt<Result>(
        _ body: (inout SegmentStore) throws(SystemCallError) -> Result
    ) throws(SystemCallError) -> Result {
        do {
            try load()
            return try body(&self)
        } catch {
            forget()
            throw error
        }
    }

    // MARK: - Appending

    /// Appends `slice`, rotating as needed, and removes from it what was written, also when it throws.
    package mutating func append(_ slice: inout ReactorSlice) throws(SystemCallError) {
        var rest = slice
        defer { slice = rest }
        try attempt { store throws(SystemCallError) in
            try store.findEnd()
            while !rest.isEmpty {
                let (file, size) = try store.openCurrent()
                let room = store.limits.segmentBytes - size
                var count = rest.count
                if count > room { count = try store.cut(rest, room: room) }
                if count <= 0 {
                    try store.rotate()
                    continue
                }
                try store.step(.write)
                let written = try rest.write(count, to: file)
                store.currentSize = size + written
                var head = rest
                head.removeLast(rest.count - written)
                store.endsWithNewline = head.endsWithNewline
                rest.removeFirst(written)
                // Cut before the cap was reached: the next byte belongs to the next segment all the same.
                if written == count, !rest.isEmpty, room > 0 { try store.rotate() }
            }
        }
    }

    /// How many bytes of a slice that does not fit go into the present segment.
    private func cut(_ slice: ReactorSlice, room: Int) throws(SystemCallError) -> Int {
        guard room > 0 else { return 0 }
        if let cut = slice.newlineCut(limit: room, window: Self.newlineWindow) { return cut }
        return try isBestCut(room: room) ? 0 : room
    }

    /// Whether a segment with so much room ends well where it is, when what follows has no better place to cut.
    func isBestCut(room: Int) throws(SystemCallError) -> Bool {
        guard room < Self.newlineWindow, let size = currentSize, size > 0 else { return false }
        if let endsWithNewline { return endsWithNewline }
        return try lastByteIsNewline(size)
    }

    /// Goes to the end of the open file. Somebody else may have shortened it.
    mutating func findEnd() throws(SystemCallError) {
        guard let file, try file.seekToEnd() != currentSize else { return }
        forget()
        try load()
    }

    /// The current file, made if missing, and its size.
    mutating func openCurrent() throws(SystemCallError) -> (ReactorFile, Int) {
        if let file, let size = currentSize { return (file, size) }
        try step(.open)
        if archives.keys.contains(where: { $0 > limits.archives })
            || segments.contains(where: { $0.size > limits.segmentBytes })
        {
            try layOutAgain()
        }
        if hasSpare { try removeSpare() }
        let opened = try ReactorFile.writing(path(Self.current))
        let size = try opened.seekToEnd()
        file = opened
        currentSize = size
        endsWithNewline = nil
        // A start that names the present file would be misread once the file grows.
        if indexIsBehind { try? writeIndex(.start(offset: currentStart, inode: 0)) }
        return (opened, size)
    }

    private func lastByteIsNewline(_ size: Int) throws(SystemCallError) -> Bool {
        try ReactorFile.reading(path(Self.current))?.read(at: size - 1, count: 1) == [UInt8(ascii: "\n")]
    }

    // MARK: - Index

    /// What the index says; `nil` if it cannot be read, which is no worse than an empty one.
    var indexContents: IndexContents? { try? IndexContents(ReactorFile.reading(path(Self.index))) }

    /// Records a mark at the present end.
    package mutating func mark(_ kind: ConsoleMarkKind, time: Int64, dropped: Int64 = 0) throws(SystemCallError) {
        try attempt { store throws(SystemCallError) in
            _ = try store.openCurrent()
            let mark = ConsoleMark(kind: kind, offset: store.retained.upperBound, time: time, dropped: dropped)
            try store.writeIndex(.mark(mark))
        }
    }

    /// Appends a record, after compacting an index that has grown beyond its cap or lacks what could not be written.
    mutating func writeIndex(_ record: IndexRecord) throws(SystemCallError) {
        do {
            if indexBytes > Self.indexCap { try compactIndex() }
            let line = (indexEndsClean ? "" : "\n") + record.line
            try step(.writeIndex)
            indexEndsClean = false
            try ReactorFile.appending(path(Self.index)).write(Array(line.utf8))
            indexEndsClean = true
            indexBytes += line.utf8.count
            if case .start = record { indexIsBehind = false }
        } catch {
            indexIsBehind = true
            throw error
        }
    }

    /// Replaces the index by one with the present start, the name of the installed log and the newest marks, at most
    /// half the cap.
    private mutating func compactIndex() throws(SystemCallError) {
        let contents = indexContents
        var lines = [IndexRecord.start(offset: currentStart, inode: 0).line]
        if let transfer = contents?.transfer { lines.append(IndexRecord.installed(transfer: transfer).line) }
        var room = Self.indexCap / 2
        let marks = (contents?.marks ?? []).reversed().map { IndexRecord.mark($0).line }.prefix { line in
            room -= line.utf8.count
            return room > 0
        }
        try replaceIndex(lines + marks.reversed())
    }

    mutating func replaceIndex(_ lines: [String]) throws(SystemCallError) {
        let bytes = Array(lines.joined().utf8)
        try step(.remove)
        try ReactorDirectory.removeFile(path(Self.freshIndex))
        try step(.writeIndex)
        try ReactorFile.appending(path(Self.freshIndex), exclusively: true).write(bytes)
        try step(.rename)
        try ReactorDirectory.rename(path(Self.freshIndex), path(Self.index))
        indexBytes = bytes.count
        indexEndsClean = true
        indexIsBehind = false
    }

    /// Sets the absolute offset of the first byte; for an empty store only.
    mutating func start(at offset: Int64) throws(SystemCallError) {
        currentStart = offset
        try writeIndex(.start(offset: offset, inode: 0))
    }
}
