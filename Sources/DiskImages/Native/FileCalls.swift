package import Glibc
package import HostBackend
import Support
package import SystemPackage

/// Blocking file calls with errors as ``BackendError``; for ``FileWork`` bodies only.
///
/// Pointers are needed because read and write take buffers; each lives for one call inside the closure that lent it.
package enum FileCalls {
    private static let seekData: Int32 = 3
    private static let seekHole: Int32 = 4
    private static let block = 1 << 20

    /// What `stat` says of a file, links followed.
    package struct Status: Sendable, Hashable {
        package var device: UInt64
        package var inode: UInt64
        package var size: UInt64
        /// Bytes the file occupies.
        package var occupied: UInt64
        package var isRegular: Bool
        package var isDirectory: Bool
        /// Whether every user may read it, given a way to it.
        package var isPublic: Bool
        /// Nanoseconds since 1970 of the last change of the content.
        package var modified: Int64
    }

    /// The file's status, `nil` when there is none.
    package static func status(_ path: String) throws(BackendError) -> Status? {
        var information = Glibc.stat()
        guard stat(path, &information) == 0 else {
            let error = Errno(rawValue: errno)
            if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
            throw failure(error, path)
        }
        let type = information.st_mode & S_IFMT
        return Status(
            device: UInt64(information.st_dev),
            inode: UInt64(information.st_ino),
            size: UInt64(max(information.st_size, 0)),
            occupied: UInt64(max(information.st_blocks, 0)) * 512,
            isRegular: type == S_IFREG,
            isDirectory: type == S_IFDIR,
            isPublic: information.st_mode & S_IROTH != 0,
            modified: Int64(information.st_mtim.tv_sec) * 1_000_000_000 + Int64(information.st_mtim.tv_nsec)
        )
    }

    /// The backend error for a failed call on `path`.
    package static func failure(_ error: Errno, _ path: String) -> BackendError {
        let code: BackendError.Code =
            switch error {
            case .noSuchFileOrDirectory, .notDirectory: .notFound
            case .fileExists: .alreadyExists
            case .noSpace, .diskQuotaExceeded, .tooManyOpenFiles, .tooManyOpenFilesInSystem: .resourceExhausted
            case .permissionDenied, .notPermitted, .readOnlyFileSystem: .unauthorized
            case .fileNameTooLong, .invalidArgument, .isDirectory: .invalidArgument
            default: .internal
            }
        return BackendError(code, "\(path): \(error)", cause: error)
    }

    /// Turns the `Errno` that `body` throws into a backend error.
    package static func on<Result>(_ path: String, _ body: () throws -> Result) throws(BackendError) -> Result {
        do {
            return try body()
        } catch let error as BackendError {
            throw error
        } catch let error as Errno {
            throw failure(error, path)
        } catch let error as FileError {
            throw failure(Errno(rawValue: error.number), error.path)
        } catch {
            throw BackendError(.internal, path, cause: error)
        }
    }

    /// Up to `count` bytes at `offset`; fewer at the end of the file.
    package static func read(_ path: String, offset: UInt64, count: Int) throws(BackendError) -> [UInt8] {
        try on(path) {
            let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
            return try file.closeAfter { try read(file, path, offset: offset, count: count) }
        }
    }

    /// The same of an open file.
    package static func read(
        _ file: FileDescriptor,
        _ path: String,
        offset: UInt64,
        count: Int
    ) throws(BackendError) -> [UInt8] {
        try on(path) {
            try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                while filled < count {
                    let rest = UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...]
                    )
                    let got = try file.read(fromAbsoluteOffset: Int64(offset) + Int64(filled), into: rest)
                    if got == 0 { break }
                    filled += got
                }
            }
        }
    }

    /// Writes a file that must not exist yet, and syncs it.
    package static func writeNew(_ path: String, _ bytes: [UInt8], mode: UInt16 = 0o600) throws(BackendError) {
        try on(path) {
            let file = try FileDescriptor.open(
                path,
                .writeOnly,
                options: [.create, .exclusiveCreate, .closeOnExec, .noFollow],
                permissions: FilePermissions(rawValue: CModeT(mode))
            )
            try file.closeAfter { _ = try file.writeAll(bytes) }
        }
    }

    /// Replaces the file's content so that a reader, or a restart at any moment, sees the old or the new one whole.
    ///
    /// - Parameter sync: whether the content also survives a power cut once the call has returned.
    package static func replace(_ path: String, _ bytes: [UInt8], sync: Bool = true) throws(BackendError) {
        let temporary = path + ".new"
        _ = unlink(temporary)
        do {
            try writeNew(temporary, bytes)
            if sync { try self.sync(temporary) }
            try rename(temporary, to: path)
            if sync { try syncDirectory(of: path) }
        } catch {
            _ = unlink(temporary)
            throw error
        }
    }

    /// Makes a file of `size` bytes that holds nothing and occupies nothing.
    package static func createSparse(_ path: String, size: UInt64) throws(BackendError) {
        try writeNew(path, [], mode: 0o644)
        try grow(path, to: size)
    }

    package static func grow(_ path: String, to size: UInt64) throws(BackendError) {
        try on(path) {
            let file = try FileDescriptor.open(path, .writeOnly, options: [.closeOnExec])
            try file.closeAfter { try file.resize(to: Int64(size)) }
        }
    }

    package static func sync(_ path: String) throws(BackendError) {
        try on(path) {
            let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
            try file.closeAfter {
                guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
            }
        }
    }

    /// Makes the directory entry of `path` durable.
    package static func syncDirectory(of path: String) throws(BackendError) {
        try sync(FilePath(path).removingLastComponent().string)
    }

    package static func rename(_ from: String, to: String) throws(BackendError) {
        guard Glibc.rename(from, to) == 0 else { throw failure(Errno(rawValue: errno), to) }
    }

    /// Removes a file; a missing one is fine.
    package static func remove(_ path: String) throws(BackendError) {
        guard unlink(path) != 0 else { return }
        let error = Errno(rawValue: errno)
        if error != .noSuchFileOrDirectory { throw failure(error, path) }
    }

    /// Makes a directory that must not exist yet, with that mode whatever the process's umask takes away.
    package static func makeNewDirectory(_ path: String, mode: mode_t) throws(BackendError) {
        guard mkdir(path, mode) == 0, chmod(path, mode) == 0 else { throw failure(Errno(rawValue: errno), path) }
    }

    /// Gives the file that mode, whatever the process's umask.
    package static func setMode(_ path: String, _ mode: mode_t) throws(BackendError) {
        guard chmod(path, mode) == 0 else { throw failure(Errno(rawValue: errno), path) }
    }

    /// Lets nobody but this user read the file.
    package static func restrict(_ path: String) throws(BackendError) {
        guard chmod(path, 0o600) == 0 else { throw failure(Errno(rawValue: errno), path) }
    }

    /// The directory and whatever above it is missing.
    package static func makeDirectories(_ path: String) throws(BackendError) {
        try on(path) { try Support.makeDirectories(path) }
    }

    /// The names in a directory, in byte order.
    package static func names(in directory: String) throws(BackendError) -> [String] {
        try on(directory) { try namesInDirectory(directory).sorted() }
    }

    /// Removes a directory and everything below it, never following a link.
    package static func removeTree(_ path: String) throws(BackendError) {
        try on(path) { try Support.removeTree(path) }
    }

    /// Copies a file to a new one; holes stay holes. Cancellation is looked at between blocks.
    package static func copySparse(
        _ source: String,
        to target: String,
        _ cancellation: FileWork.Cancellation
    ) throws(BackendError) {
        try writeNew(target, [], mode: 0o644)
        try on(target) {
            let input = try FileDescriptor.open(source, .readOnly, options: [.closeOnExec])
            try input.closeAfter {
                let output = try FileDescriptor.open(target, .writeOnly, options: [.closeOnExec])
                try output.closeAfter {
                    let size = try input.seek(offset: 0, from: .end)
                    try output.resize(to: size)
                    var buffer = [UInt8](repeating: 0, count: block)
                    var offset = lseek(input.rawValue, 0, seekData)
                    while offset >= 0, offset < size {
                        let end = max(lseek(input.rawValue, Int(offset), seekHole), offset)
                        try copy(from: input, to: output, offset..<end, &buffer, cancellation)
                        offset = lseek(input.rawValue, Int(end), seekData)
                    }
                }
            }
        }
    }

    private static func copy(
        from input: FileDescriptor,
        to output: FileDescriptor,
        _ range: Range<Int>,
        _ buffer: inout [UInt8],
        _ cancellation: FileWork.Cancellation
    ) throws {
        var offset = range.lowerBound
        while offset < range.upperBound {
            try cancellation.check()
            let length = min(block, range.upperBound - offset)
            let got = try buffer.withUnsafeMutableBytes { bytes in
                try input.read(
                    fromAbsoluteOffset: Int64(offset),
                    into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<length])
                )
            }
            if got == 0 { return }
            try output.writeAll(toAbsoluteOffset: Int64(offset), buffer[..<got])
            offset += got
        }
    }
}

private typealias CModeT = CInterop.Mode
