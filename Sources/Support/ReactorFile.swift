import Glibc

/// An open file, closed with its last holder. Every call may block: call them on a ``ReactorPool``'s threads.
package final class ReactorFile: Sendable {
    package struct Facts: Sendable, Hashable {
        package let size: Int
        package let inode: UInt64
    }

    let descriptor: Int32
    let path: String

    /// Opens for reading; `nil` if there is no such file. A symbolic link in the last place is refused.
    package static func reading(_ path: String) throws(SystemCallError) -> ReactorFile? {
        do {
            return try ReactorFile(path, flags: O_RDONLY)
        } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
    }

    /// Opens for appending, mode 0600, made if missing; with `exclusively` it must be missing.
    package static func appending(_ path: String, exclusively: Bool = false) throws(SystemCallError) -> ReactorFile {
        try ReactorFile(path, flags: O_WRONLY | O_APPEND | O_CREAT | (exclusively ? O_EXCL : 0))
    }

    /// Opens for writing at a position, mode 0600, made if missing; with `exclusively` it must be missing. The position is
    /// the file's beginning until ``seekToEnd()``. Only such a file takes bytes from a ``ReactorPipe``.
    package static func writing(_ path: String, exclusively: Bool = false) throws(SystemCallError) -> ReactorFile {
        try ReactorFile(path, flags: O_WRONLY | O_CREAT | (exclusively ? O_EXCL : 0))
    }

    private init(_ path: String, flags: Int32) throws(SystemCallError) {
        while true {
            let descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
            if descriptor >= 0 {
                self.descriptor = descriptor
                self.path = path
                return
            }
            if errno != EINTR { throw SystemCallError("open", errno, path: path) }
        }
    }

    deinit { close(descriptor) }

    package func facts() throws(SystemCallError) -> Facts {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemCallError("fstat", errno, path: path) }
        return Facts(size: Int(status.st_size), inode: UInt64(status.st_ino))
    }

    /// Sets the position behind the last byte.
    ///
    /// - Returns: the file's size.
    package func seekToEnd() throws(SystemCallError) -> Int {
        let size = lseek(descriptor, 0, SEEK_END)
        guard size >= 0 else { throw SystemCallError("lseek", errno, path: path) }
        return Int(size)
    }

    /// One `write`: may take less than all, never nothing.
    func write(_ bytes: UnsafeRawBufferPointer) throws(SystemCallError) -> Int {
        while true {
            let count = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            if count > 0 || bytes.isEmpty { return count }
            if count == 0 { throw SystemCallError("write", ENOSPC, path: path) }
            if errno != EINTR { throw SystemCallError("write", errno, path: path) }
        }
    }

    /// Writes all of `bytes`; after an error an unknown part of them is in the file.
    package func write(_ bytes: [UInt8]) throws(SystemCallError) {
        var done = 0
        while done < bytes.count {
            var failure: SystemCallError?
            bytes.withUnsafeBytes { all in
                do throws(SystemCallError) {
                    done += try write(UnsafeRawBufferPointer(rebasing: all[done...]))
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
        }
    }

    /// Up to `count` bytes from `offset`; fewer at the end of the file.
    package func read(at offset: Int, count: Int) throws(SystemCallError) -> [UInt8] {
        var failure: SystemCallError?
        let bytes = [UInt8](unsafeUninitializedCapacity: max(0, count)) { buffer, filled in
            while filled < count {
                let got = pread(
                    descriptor,
                    buffer.baseAddress.map { $0 + filled },
                    count - filled,
                    off_t(offset + filled)
                )
                if got == 0 { return }
                if got > 0 {
                    filled += got
                } else if errno != EINTR {
                    failure = SystemCallError("pread", errno, path: path)
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    package func sync() throws(SystemCallError) {
        guard fdatasync(descriptor) == 0 else { throw SystemCallError("fdatasync", errno, path: path) }
    }
}

/// Calls on directories and names in them. They may block, as those of ``ReactorFile``.
package enum ReactorDirectory {
    /// The names in a directory, `.` and `..` left out; `nil` if there is none.
    package static func names(_ path: String) throws(SystemCallError) -> [String]? {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return nil }
            throw SystemCallError("opendir", errno, path: path)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                if errno != 0 { throw SystemCallError("readdir", errno, path: path) }
                return names
            }
            // The entry's name is NUL-terminated inside its fixed array and valid until the next readdir.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// Size and inode of a regular file; `nil` if there is none.
    package static func facts(_ path: String) throws(SystemCallError) -> ReactorFile.Facts? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw SystemCallError("lstat", errno, path: path)
        }
        return ReactorFile.Facts(size: Int(status.st_size), inode: UInt64(status.st_ino))
    }

    package static func rename(_ old: String, _ new: String) throws(SystemCallError) {
        guard Glibc.rename(old, new) == 0 else { throw SystemCallError("rename", errno, path: old) }
    }

    /// Removes a file; a missing one is fine.
    package static func removeFile(_ path: String) throws(SystemCallError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw SystemCallError("unlink", errno, path: path) }
    }

    /// Removes an empty directory; a missing one is fine.
    package static func remove(_ path: String) throws(SystemCallError) {
        guard rmdir(path) == 0 || errno == ENOENT else { throw SystemCallError("rmdir", errno, path: path) }
    }

    /// Makes one directory, mode 0700; an existing one is fine.
    package static func make(_ path: String) throws(SystemCallError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemCallError("mkdir", errno, path: path) }
    }

    /// Makes the directory's own entries durable.
    package static func sync(_ path: String) throws(SystemCallError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemCallError("open", errno, path: path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw SystemCallError("fsync", errno, path: path) }
    }
}
