import Glibc
import Logging
import Processes
import QMP
import Support
import TestSupport

/// A QEMU with the tick guest, stopped before its first instruction, and a session with its monitor.
struct RealMachine {
    let session: QMPSession
    let process: ProcessIdentity
    let processes: Processes
    let reactor: Reactor
    let directory: String

    static func run<Result>(_ body: (RealMachine) async throws -> Result) async throws -> Result {
        try await withTemporaryDirectory { directory in
            let reactor = try Reactor(name: "qmp-test")
            let processes = Processes(reactor: reactor, logger: Logger(label: "test"))
            try TickGuest.writeDisk(directory + "/disk.raw")
            let listener = try UnixListener.open(directory + "/qmp.sock", backlog: 1)
            let process = try processes.start(
                DetachedCommand(
                    executable: QEMUProgram.path,
                    arguments: [
                        "-accel", "tcg", "-M", "pc", "-m", "16", "-display", "none", "-nodefaults",
                        "-no-user-config", "-S", "-action", "shutdown=pause",
                        "-chardev", "socket,id=mon,fd=3,server=on,wait=off", "-mon", "chardev=mon,mode=control",
                        "-serial", "file:\(directory)/console",
                        "-drive", "file=\(directory)/disk.raw,format=raw,if=ide",
                    ],
                    workingDirectory: directory,
                    outputPath: directory + "/qemu.log",
                    passedDescriptors: [(listener, 3)]
                )
            )
            close(listener)
            let result: Swift.Result<Result, any Error>
            do {
                let session = try await QMPSession.connect(
                    path: directory + "/qmp.sock",
                    reactor: reactor,
                    deadline: .seconds(30),
                    logger: Logger(label: "test")
                )
                let machine = RealMachine(
                    session: session,
                    process: process,
                    processes: processes,
                    reactor: reactor,
                    directory: directory
                )
                result = .success(try await body(machine))
            } catch {
                result = .failure(error)
            }
            processes.signal(process, SIGKILL)
            _ = await processes.waitForEnd(process)
            return try result.get()
        }
    }
}
