import CSystemShims
import Glibc
import Support

/// Pipes and sockets to plugins.
enum PluginDescriptors {
    /// A pipe whose one end is ours and does not block; the child's end does, as programs expect.
    static func pipe(oursReads: Bool) throws(PluginError) -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else {
            throw PluginError(.start, "no pipe for a plugin: \(SystemCallError("pipe2", errno))")
        }
        let (ours, theirs) = oursReads ? (ends[0], ends[1]) : (ends[1], ends[0])
        _ = fcntl(ours, F_SETFL, O_NONBLOCK)
        return (ours, theirs)
    }

    /// A connection to a socket that a service listens on.
    static func connect(to path: String) throws(PluginError) -> Int32 {
        do throws(SystemCallError) {
            return try UnixSocket.connect(to: path)
        } catch  where error.number == ENAMETOOLONG {
            throw PluginError(.start, "\(path) is too long for a socket")
        } catch {
            throw PluginError(.start, "the plugin cannot be reached: \(error)")
        }
    }

    /// Moves standard input and output to numbers of their own, which do not block.
    static func takeStandardStreams() throws(PluginError) -> (input: Int32, output: Int32) {
        let (input, output) = (vmops_duplicate(0, 3), vmops_duplicate(1, 3))
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard input >= 0, output >= 0, nothing >= 0, dup2(nothing, 0) == 0, dup2(2, 1) == 1 else {
            throw PluginError(.start, "no standard input or output: \(SystemCallError("dup", errno))")
        }
        close(nothing)
        for descriptor in [input, output] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        return (input, output)
    }

    /// The user at the other end of a connection; `nil` if the kernel does not say.
    static func peer(_ descriptor: Int32) -> UInt32? {
        // struct ucred: pid, uid, gid.
        var credentials: (Int32, UInt32, UInt32) = (0, 0, 0)
        var length = socklen_t(MemoryLayout<(Int32, UInt32, UInt32)>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
        return credentials.1
    }
}
