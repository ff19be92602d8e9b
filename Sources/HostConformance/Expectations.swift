package import HostBackend

/// Throws unless `condition` holds.
///
/// - Parameters:
///   - expected: what has to hold, in words.
///   - seen: what is there in its place.
package func check(
    _ condition: Bool,
    _ expected: @autoclosure () -> String,
    seen: @autoclosure () -> String = "it is not so"
) throws(CheckFailure) {
    if !condition { throw CheckFailure(expected: expected(), seen: seen()) }
}

/// Throws unless `value` is the wanted one.
package func checkEqual<Value: Equatable>(_ value: Value, _ wanted: Value, _ what: String) throws(CheckFailure) {
    try check(value == wanted, "\(what): \(wanted)", seen: "\(value)")
}

/// Throws unless there is a value, and it is the wanted one.
package func checkValue<Value: Equatable>(_ value: Value?, _ wanted: Value, _ what: String) throws(CheckFailure) {
    try check(value == wanted, "\(what): \(wanted)", seen: value.map { "\($0)" } ?? "nothing")
}

/// Throws unless `body` throws a backend error with one of these codes.
package func checkFails(
    _ wanted: BackendError.Code...,
    what: String,
    _ body: () async throws -> Void
) async throws {
    let expected = "\(what) answers \(wanted.map(\.rawValue).joined(separator: " or "))"
    do {
        try await body()
    } catch let error as BackendError {
        return try check(wanted.contains(error.code), expected, seen: "\(error.code.rawValue): \(error)")
    }
    throw CheckFailure(expected: expected, seen: "success")
}

/// Waits until `condition` holds, asking again every few milliseconds.
///
/// - Throws: ``CheckFailure`` after `limit`, which is generous as a loaded machine is slow; `CancellationError`.
package func waitUntil(
    _ what: @autoclosure () -> String,
    limit: Duration = .seconds(30),
    seen: () -> String = { "nothing of the kind" },
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    var pause = Duration.milliseconds(1)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            throw CheckFailure(expected: "\(what()) within \(limit)", seen: seen())
        }
        try await Task.sleep(for: pause)
        pause = min(pause * 2, .milliseconds(20))
    }
}
