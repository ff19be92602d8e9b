import CSystemShims
import Glibc
import Support

/// A UNIX stream socket that never waits; whoever holds it closes it.
struct MonitorSocket: Sendable {
    enum Connection {
        case connected(MonitorSocket)
        /// The listener has no room now.
        case busy
        case failed(SystemCallError)
    }

    /// How much is read at once.
    private static let readBytes = 32 << 10

    let descriptor: Int32

    static func connect(to path: String) -> Connection {
        do throws(SystemCallError) {
            return .connected(MonitorSocket(descriptor: try UnixSocket.connect(to: path)))
        } catch {
            // EINTR cannot come about: a connect on a UNIX socket that does not wait is over at once.
            return error.number == EAGAIN ? .busy : .failed(error)
        }
    }

    /// Adds what is there to `bytes`.
    func read(into bytes: inout [UInt8]) -> ReactorRead {
        withUnsafeTemporaryAllocation(byteCount: Self.readBytes, alignment: 16) { buffer in
            while true {
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                if count > 0 {
                    bytes.append(contentsOf: buffer[..<count])
                    return .bytes(count)
                }
                if count == 0 { return .end }
                switch errno {
                case EINTR: continue
                case EAGAIN: return .wouldBlock
                case ECONNRESET: return .end
                default: return .failed(SystemCallError("read", errno))
                }
            }
        }
    }

    /// Sends the start of `bytes`, and the descriptor with their first one unless it is negative.
    ///
    /// - Returns: how many were taken; 0 if there is no room.
    func send(_ bytes: ArraySlice<UInt8>, descriptor passed: Int32) -> Result<Int, SystemCallError> {
        bytes.withUnsafeBytes { buffer in
            while true {
                let count = vmops_send_with_fd(descriptor, buffer.baseAddress, buffer.count, passed)
                if count >= 0 { return .success(count) }
                switch errno {
                case EINTR: continue
                case EAGAIN: return .success(0)
                default: return .failure(SystemCallError("sendmsg", errno))
                }
            }
        }
    }

    static func duplicate(_ descriptor: Int32) -> Int32 { vmops_duplicate(descriptor, 3) }

    func close() { Glibc.close(descriptor) }
}
