import Glibc
import HostBackend
import Support
import Synchronization

/// The two FIFOs of a machine's serial console (QEMU backend, section 5.4).
///
/// QEMU holds both open for reading and writing, so what the guest has printed stays in the kernel while nobody reads.
/// This end keeps the output readable beyond QEMU's end, until it is read or the machine starts again. Descriptors are
/// closed with the last holder.
final class ConsolePipes: Sendable {
    /// `F_SETPIPE_SZ`, which the Glibc module does not have.
    private static let setPipeSize: Int32 = 1031

    private let output: Int32
    private let inputPath: String
    /// Opened at the first input: before QEMU has it open too, the kernel refuses.
    private let input = Mutex<Int32>(-1)

    /// Makes new FIFOs in place of those of an earlier start, and opens the output before QEMU does.
    ///
    /// - Parameter owner: who QEMU runs as; `nil` = us.
    static func make(_ files: MachineFiles, owner: MachineUser?, size: Int) throws(BackendError) -> ConsolePipes {
        for path in [files.consoleInput, files.consoleOutput] {
            unlink(path)
            guard mkfifo(path, 0o600) == 0 else { throw failure("mkfifo", path) }
            if let owner, lchown(path, owner.uid, owner.gid) != 0 { throw failure("chown", path) }
        }
        return try ConsolePipes(files, size: size)
    }

    /// Opens the FIFOs of a machine that runs.
    init(_ files: MachineFiles, size: Int) throws(BackendError) {
        inputPath = files.consoleInput
        output = open(files.consoleOutput, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        guard output >= 0 else { throw Self.failure("open", files.consoleOutput) }
        // From here on `deinit` closes it.
        guard Self.isFIFO(output) else {
            throw BackendError(.internal, "\(files.consoleOutput) is no FIFO")
        }
        // Without the right to so much the pipe stays as it is, and only holds less.
        _ = fcntl(output, Self.setPipeSize, Int32(clamping: size))
    }

    deinit {
        close(output)
        input.withLock { if $0 >= 0 { close($0) } }
    }

    /// Bytes that were printed and not read.
    var waiting: Int {
        var count: Int32 = 0
        return ioctl(output, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }

    /// A descriptor for a reader, who closes it.
    func reader() throws(BackendError) -> Int32 {
        let reader = fcntl(output, F_DUPFD_CLOEXEC, Int32(0))
        guard reader >= 0 else {
            throw BackendError(.resourceExhausted, "\(SystemCallError("dup", errno))")
        }
        return reader
    }

    /// Types without waiting.
    ///
    /// - Returns: how many of the bytes were taken; 0 when there is no room now.
    func type(_ bytes: ArraySlice<UInt8>) throws(BackendError) -> Int {
        try input.withLock { input throws(BackendError) in
            if input < 0 {
                let opened = open(inputPath, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
                guard opened >= 0 else { throw Self.failure("open", inputPath) }
                guard Self.isFIFO(opened) else {
                    close(opened)
                    throw BackendError(.internal, "\(inputPath) is no FIFO")
                }
                input = opened
            }
            let count = bytes.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            if errno == EAGAIN || errno == EINTR { return 0 }
            throw Self.failure("write", inputPath)
        }
    }

    private static func isFIFO(_ descriptor: Int32) -> Bool {
        var information = stat()
        return fstat(descriptor, &information) == 0 && information.st_mode & S_IFMT == S_IFIFO
    }

    private static func failure(_ call: String, _ path: String) -> BackendError {
        let error = SystemCallError(call, errno, path: path)
        let code: BackendError.Code =
            switch error.number {
            case ENXIO, ENOENT, EPIPE: .unavailable
            case ENOSPC, EMFILE, ENFILE: .resourceExhausted
            default: .internal
            }
        return BackendError(code, "\(error)")
    }
}
