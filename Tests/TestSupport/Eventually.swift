/// Thrown by ``eventually(timeout:_:fileID:line:_:)``.
package struct ConditionNotMet: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// Waits until `condition` holds, asking again every few milliseconds: the only way to wait for what cannot be awaited,
/// as what another process does.
///
/// - Parameter timeout: When it is given up; generous, as a loaded machine is slow. Longer under a sanitizer.
/// - Throws: ``ConditionNotMet`` at the deadline, what `condition` throws, `CancellationError`.
package func eventually(
    timeout: Duration = .seconds(60),
    _ what: String = "condition",
    fileID: String = #fileID,
    line: Int = #line,
    _ condition: () async throws -> Bool
) async throws {
    let timeout = timeout * Sanitizer.slowness
    let deadline = ContinuousClock.now + timeout
    var pause = Duration.milliseconds(1)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            throw ConditionNotMet(description: "\(what) not met within \(timeout) at \(fileID):\(line)")
        }
        try await Task.sleep(for: pause)
        pause = min(pause * 2, .milliseconds(50))
    }
}
