import Foundation
import TestSupport
import Testing

/// What reading a request and making its reply cost, in instructions and allocations, which noise does not move. The
/// limits are in `Tests/Benchmarks/limits.json`: a fifth above what was counted in a debug build.
@Suite(.enabled(if: Cost.canBeCounted, "needs valgrind and a build without sanitizers"), .timeLimit(.minutes(5)))
struct CodecCostTests {
    @Test(arguments: [("jansson", "small,nova-3k"), ("native", "small")])
    func aRequestCostsNoMoreThanItDid(_ parser: String, _ cases: String) async throws {
        let benchmarks = Checkout.root.appending(path: "Tests/Benchmarks")
        _ = try await runCommand(
            Checkout.python,
            [
                benchmarks.appending(path: "counts").path, Checkout.program("vmops-bench"), "--parser", parser,
                "--cases", cases, "--stages", "dispatch",
                "--check", benchmarks.appending(path: "limits.json").path,
            ]
        )
    }
}

enum Cost {
    /// Sanitizers count and intercept as well.
    static var canBeCounted: Bool {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/valgrind") && !Sanitizer.isOn
    }
}
