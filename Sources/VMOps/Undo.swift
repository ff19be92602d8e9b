import Logging

/// The way back from the steps of an operation taken so far.
///
/// Used by one task; a failing step of the way back is logged and does not hide the original error.
struct Undo {
    private struct Step {
        let name: String
        let body: @Sendable () async throws -> Void
    }

    private var steps: [Step] = []

    mutating func add(_ name: String, _ body: @escaping @Sendable () async throws -> Void) {
        steps.append(Step(name: name, body: body))
    }

    /// Takes the steps back, last first, each whatever became of the others and also when the task is cancelled.
    ///
    /// - Returns: whether all of them succeeded.
    func run(_ logger: Logger) async -> Bool {
        // Awaited right here; unstructured only so that a cancelled operation still cleans up.
        await Task { [steps] in
            var isClean = true
            for step in steps.reversed() {
                do {
                    try await step.body()
                } catch {
                    isClean = false
                    logger.warning("undoing a step failed", metadata: ["step": "\(step.name)", "error": "\(error)"])
                }
            }
            return isClean
        }.value
    }
}
