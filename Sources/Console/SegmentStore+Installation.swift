package import Support

/// Replacing the whole log at once: built aside, then put in place so that an interruption at any point leads, at the
/// next look, to either the old log or the new one.
///
/// `.console-build` may be incomplete and is thrown away. Its renaming to `.console-commit` decides. Then the old files
/// go, it becomes `.console-place`, and its files move into place one by one.
extension SegmentStore {
    static let incoming = ".incoming-console"
    private static let build = ".console-build"
    private static let commit = ".console-commit"
    private static let place = ".console-place"

    /// Puts what `fill` writes into an empty store in place of the present log.
    mutating func replaceAll(
        _ fill: (inout SegmentStore) throws(SystemCallError) -> Void
    ) throws(SystemCallError) {
        let aside = path(Self.build)
        try removeTree(aside)
        try step(.makeDirectory)
        try ReactorDirectory.make(aside)
        var new = SegmentStore(directory: aside, limits: limits, probe: probe)
        try fill(&new)
        new.forget()
        for name in try ReactorDirectory.names(aside) ?? [] {
            try ReactorFile.reading(aside + "/" + name)?.sync()
        }
        try ReactorDirectory.sync(aside)
        try step(.rename)
        try ReactorDirectory.rename(aside, path(Self.commit))
        try ReactorDirectory.sync(directory)
        forget()
        try load()
    }

    /// The retained bytes in segments of the present caps.
    mutating func layOutAgain() throws(SystemCallError) {
        let marks = indexContents
        let old = self
        let kept = old.retained.suffix(limits.total)
        try replaceAll { new throws(SystemCallError) in
            try new.start(at: kept.lowerBound)
            try new.copy(old, kept)
            for mark in marks?.marks ?? [] { try new.writeIndex(.mark(mark)) }
            if let transfer = marks?.transfer { try new.writeIndex(.installed(transfer: transfer)) }
        }
    }

    /// Appends a range of another store.
    mutating func copy(_ other: SegmentStore, _ range: Range<Int64>) throws(SystemCallError) {
        let pool = ReactorBlockPool(budget: .max)
        var position = range.lowerBound
        while position < range.upperBound {
            let end = min(range.upperBound, position + Int64(ReactorBlockPool.largeBytes))
            try append(try other.bytes(position..<end), pool)
            position = end
        }
    }

    /// Appends bytes of an array.
    mutating func append(_ bytes: [UInt8], _ pool: ReactorBlockPool) throws(SystemCallError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let block = pool.large() ?? pool.small()
            let count = block.append(rest, at: 0)
            var slice = ReactorSlice(block, 0..<count)
            try append(&slice)
            rest = rest.dropFirst(count)
        }
    }

    /// Goes on with an installation that has been decided; returns whether there was one.
    func finishInstallation(_ names: [String]) throws(SystemCallError) -> Bool {
        let commit = path(Self.commit)
        let place = path(Self.place)
        if names.contains(Self.commit) {
            for name in names where Self.isOurs(name) {
                try step(.remove)
                try ReactorDirectory.removeFile(path(name))
            }
            // Its content is part of the new log, or it was overtaken by it.
            try removeTree(path(Self.incoming))
            try step(.rename)
            try ReactorDirectory.rename(commit, place)
        } else if !names.contains(Self.place) {
            return false
        }
        for name in try ReactorDirectory.names(place) ?? [] {
            try step(.rename)
            try ReactorDirectory.rename(place + "/" + name, path(name))
        }
        try step(.remove)
        try ReactorDirectory.remove(place)
        return true
    }

    /// Removes every file of the log, an incoming one too. Missing files are fine, and so is a missing directory.
    package mutating func removeAll() throws(SystemCallError) {
        forget()
        for name in [Self.incoming, Self.build, Self.place, Self.commit] { try removeTree(path(name)) }
        for name in try ReactorDirectory.names(directory) ?? [] where Self.isOurs(name) {
            try step(.remove)
            try ReactorDirectory.removeFile(path(name))
        }
    }

    func removeTree(_ path: String) throws(SystemCallError) {
        guard let names = try ReactorDirectory.names(path) else { return }
        for name in names where !name.hasPrefix(".") {
            try step(.remove)
            try ReactorDirectory.removeFile(path + "/" + name)
        }
        for name in names where name.hasPrefix(".") { try removeTree(path + "/" + name) }
        try step(.remove)
        try ReactorDirectory.remove(path)
    }

    private static func isOurs(_ name: String) -> Bool {
        name == current || name.hasPrefix(current + ".") || name == index || name == freshIndex
    }
}

extension SegmentLimits {
    /// Bytes that all segments together may have.
    var total: Int {
        let (total, overflow) = segmentBytes.multipliedReportingOverflow(by: archives + 1)
        return overflow ? .max : total
    }
}
