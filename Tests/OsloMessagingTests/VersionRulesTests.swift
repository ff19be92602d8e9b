import OsloMessaging
import Support
import Testing

/// oslo.messaging wire, sections 9 and 10.
@Suite struct VersionRulesTests {
    @Test(
        arguments: [
            ("1.5", "1.5", true), ("1.5", "1.4.9", true), ("1.5", "1.5.1", false), ("1.5.1", "1.5.1", true),
            ("1.5.2", "1.5.1", true), ("1.5", "1.5.0", true), ("1.5", "1.6", false), ("1.5", "2.0", false),
            ("2.0", "1.5", false), ("1.10", "1.9", true), ("1.5", "1", false), ("1.5", "x.y", false),
            ("1.5", "", false),
            ("1.5", "2", false), ("1.5", nil, false), (nil, "7.7", true), (nil, nil, true), ("1.5", "1.5.x", false),
            ("6.5", "6.5", true), ("1.5", "1.", false), ("1.5", "-1.5", false),
        ] as [(String?, String?, Bool)]
    )
    func compatibility(_ implemented: String?, _ requested: String?, _ compatible: Bool) {
        #expect(VersionRules.compatible(implemented: implemented, requested: requested) == compatible)
    }

    @Test(arguments: [
        ("1", "IndexError", "list index out of range"),
        ("x.0", "ValueError", "invalid literal for int() with base 10: 'x'"),
        ("1.y", "ValueError", "invalid literal for int() with base 10: 'y'"),
        ("1.5.z", "ValueError", "invalid literal for int() with base 10: 'z'"),
        ("", "ValueError", "invalid literal for int() with base 10: ''"),
    ])
    func unreadableVersionsFailAsInPython(_ version: String, _ className: String, _ message: String) {
        do throws(RemoteFailure) {
            _ = try VersionRules.check(implemented: "1.5", requested: version)
            Issue.record("no failure")
        } catch {
            #expect(error == .builtin(className, message))
        }
    }

    @Test(
        arguments: [
            (nil, nil, nil), (.null, nil, nil), (0, nil, nil), (2, 2, 1000), (60, 60, 30_000), (3, 3, 1500),
            (1, 1, nil),
            (-4, -4, nil), (2.9, 2, 1000), (.bool(true), 1, nil), ("4", 4, 2000), (" 4 ", 4, 2000), ("x", nil, nil),
            ("", nil, nil), ([4], nil, nil), (.double(.nan), nil, nil), (.double(.infinity), nil, nil),
            (.bigInteger("99999999999999999999"), 2_147_483_647, 1_073_741_823_500),
            (1e300, 2_147_483_647, 1_073_741_823_500),
        ] as [(JSONValue?, Int?, Int?)]
    )
    func monitorTimeoutsAreTakenAsPythonsInt(_ value: JSONValue?, _ timeout: Int?, _ milliseconds: Int?) {
        #expect(CallMonitoring.timeout(value) == timeout)
        #expect(CallMonitoring.heartbeatInterval(timeout) == milliseconds.map { .milliseconds($0) })
    }
}
