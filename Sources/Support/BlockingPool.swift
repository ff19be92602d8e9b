import Dispatch
import Synchronization

/// Runs calls that may block (file systems, name resolution) away from the threads that run tasks.
///
/// At most `width` calls run at once; more wait in line. A call is not interrupted by cancellation: it ends on its own.
package final class BlockingPool: Sendable {
    /// For the odd file operation of everybody.
    package static let shared = BlockingPool(label: "vmops.blocking", width: 4)

    private let queues: [DispatchQueue]
    private let next = Atomic<Int>(0)

    package init(label: String, width: Int) {
        queues = (0..<max(width, 1)).map { DispatchQueue(label: "\(label).\($0)") }
    }

    package func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
        let queue = queues[Int(UInt(bitPattern: turn) % UInt(queues.count))]
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }
}
