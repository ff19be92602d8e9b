import Glibc
import Support

extension SegmentStore {
    /// Makes the current segment the newest archive and starts a new one.
    ///
    /// The index says beforehand where the new segment starts, and of which file the old one is: the only fact that
    /// tells, after an interruption, whether the renaming happened.
    mutating func rotate() throws(SystemCallError) {
        guard let old = file, let size = currentSize else { return }
        let start = currentStart + Int64(size)
        let isAnnounced = (try? writeIndex(.start(offset: start, inode: old.facts().inode))) != nil
        file = nil
        if limits.archives == 0 {
            try removeSpare()
            try step(.open)
            let new = try ReactorFile.writing(path(Self.fresh), exclusively: true)
            try step(.rename)
            try ReactorDirectory.rename(path(Self.fresh), path(Self.current))
            file = new
        } else {
            try shift(size, mayReuse: isAnnounced)
            file = try nextFile()
        }
        currentSize = 0
        currentStart = start
        endsWithNewline = false
        rotations += 1
        // What did not fit on a full disk may fit now that the oldest archive is gone.
        if indexIsBehind { try? writeIndex(.start(offset: start, inode: 0)) }
    }

    /// Moves every segment up by one number, the current one, of `size` bytes, too; the oldest is given up.
    private mutating func shift(_ size: Int, mayReuse: Bool) throws(SystemCallError) {
        // An earlier interruption left a free number: shifting only up to it keeps everything older in place.
        let last = (1...limits.archives).first { archives[$0] == nil } ?? limits.archives
        // An index that was not told may still name this very file as an earlier rotation's; it then has to go.
        if archives[last] != nil, mayReuse { try setAside(last) }
        for number in stride(from: last - 1, to: 0, by: -1) {
            try step(.rename)
            try ReactorDirectory.rename(path(Self.archive(number)), path(Self.archive(number + 1)))
            archives[number + 1] = archives.removeValue(forKey: number)
        }
        try step(.rename)
        try ReactorDirectory.rename(path(Self.current), path(Self.archive(1)))
        archives[1] = size
    }

    /// Gives up the oldest archive, but keeps its file for the next segment: for minutes after files were removed, ext4
    /// takes longer to make a new one than to fill it.
    private mutating func setAside(_ number: Int) throws(SystemCallError) {
        try step(.rename)
        archives[number] = nil
        do throws(SystemCallError) {
            try ReactorDirectory.rename(path(Self.archive(number)), path(Self.fresh))
        } catch {
            // Somebody made room on the disk.
            if error.number == ENOENT { return }
            throw error
        }
        hasSpare = true
        try step(.open)
        // Closed while it is empty: otherwise ext4 would have its next content written to the disk when it is closed.
        let descriptor = open(path(Self.fresh), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemCallError("open", errno, path: path(Self.fresh)) }
        close(descriptor)
    }

    /// An empty current file.
    private mutating func nextFile() throws(SystemCallError) -> ReactorFile {
        let isThere = hasSpare
        if isThere {
            try step(.rename)
            try ReactorDirectory.rename(path(Self.fresh), path(Self.current))
            hasSpare = false
        }
        try step(.open)
        return try ReactorFile.writing(path(Self.current), exclusively: !isThere)
    }

    /// Removes what an interrupted rotation left.
    mutating func removeSpare() throws(SystemCallError) {
        try step(.remove)
        try ReactorDirectory.removeFile(path(Self.fresh))
        hasSpare = false
    }
}
