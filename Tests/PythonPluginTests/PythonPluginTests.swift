import Foundation
import TestSupport
import Testing

/// The Python plugins' own tests, which stand beside them: they speak the protocol with whole plugins.
@Suite(.timeLimit(.minutes(5))) struct PythonPluginTests {
    static let hasLibvirt = exists("/usr/lib/python3/dist-packages/libvirt.py")
    static let hasDaemon = hasLibvirt && exists("/usr/sbin/libvirtd") && exists("/usr/bin/qemu-system-x86_64")

    private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private func run(_ tests: String, in directory: String) async throws {
        let script = """
            import sys, unittest
            suite = unittest.defaultTestLoader.discover(sys.argv[1], sys.argv[2])
            result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
            print(result.testsRun - len(result.skipped))
            sys.exit(not result.wasSuccessful())
            """
        let path = Checkout.root.appending(path: "plugins/\(directory)/tests").path
        let printed = try await runCommand(
            Checkout.python,
            ["-c", script, path, tests],
            environment: ["PYTHONDONTWRITEBYTECODE": "1"]
        )
        // A pattern that finds nothing would pass as well.
        let count = try #require(printed.split(separator: "\n").last.flatMap { Int($0) })
        #expect(count > 0)
    }

    @Test func sdk() async throws { try await run("test_*.py", in: "python") }

    @Test(
        .enabled(if: PythonPluginTests.hasLibvirt, "needs python3-libvirt"),
        arguments: ["test_pure.py", "test_driver.py"]
    )
    func libvirtWithoutDaemon(tests: String) async throws { try await run(tests, in: "libvirt") }

    @Test(
        .enabled(
            if: PythonPluginTests.hasDaemon,
            "needs libvirt-daemon, libvirt-daemon-driver-qemu and python3-libvirt"
        )
    )
    func libvirtWithSessionDaemons() async throws { try await run("test_session.py", in: "libvirt") }

    @Test(
        .enabled(
            if: PythonPluginTests.hasDaemon,
            "needs libvirt-daemon, libvirt-daemon-driver-qemu and python3-libvirt"
        )
    )
    func libvirtPassesTheKit() async throws {
        let script = Checkout.root.appending(path: "plugins/libvirt/tests/kit.py").path
        let few = ["--machines", "5", "--kills", "2", "--start-timeout", "60"]
        let printed = try await runCommand(Checkout.python, [script, Checkout.program("vmopsctl")] + few)
        #expect(printed.contains(" 0 failed"))
    }
}
