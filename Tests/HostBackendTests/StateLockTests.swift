import Glibc
import HostBackend
import Support
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct StateLockTests {
    @Test func aDirectoryIsOnesAtATime() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/lock"
            let lock = try StateLock(path)
            #expect(throws: BackendError.self) { _ = try StateLock(path) }
            _ = consume lock
            let next = try StateLock(path)
            _ = consume next
        }
    }

    /// A number that is closed twice is somebody else's the second time.
    @Test func aRefusedLockClosesItsFileOnce() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/lock"
            let lock = try StateLock(path)
            async let accepted = BlockingPool.shared.run {
                (0..<5000).count { _ in
                    do {
                        _ = try StateLock(path)
                        return true
                    } catch {
                        return false
                    }
                }
            }
            let lost = try await BlockingPool.shared.run {
                (0..<5000).count { _ in
                    let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
                    return fcntl(descriptor, F_GETFD) < 0 || close(descriptor) != 0
                }
            }
            #expect(try await accepted == 0)
            #expect(lost == 0)
            _ = consume lock
        }
    }
}
