import Foundation

/// The guest with a real kernel; `Tests/Guests/README.md` says what it prints and understands.
package struct LinuxGuest: Sendable {
    package let kernel: String
    package let ramdisk: String

    /// The files, made at the first use in this checkout and when their recipe has changed; `nil` when that is not possible, as without `apt-get`.
    package static func files() async -> LinuxGuest? {
        let directory = Checkout.work.appending(path: "guests/linux").path
        let guest = LinuxGuest(kernel: directory + "/vmlinuz", ramdisk: directory + "/initrd.img")
        let builder = Checkout.root.appending(path: "Tests/Guests/build.py").path
        _ = try? await runCommand(Checkout.python, [builder, "linux", directory])
        return guest.exists ? guest : nil
    }

    /// Writes a program into `directory` that starts QEMU with this guest's kernel, which no machine definition names.
    ///
    /// - Returns: its path, to be configured as QEMU.
    package func launcher(in directory: String) throws -> String {
        let path = directory + "/qemu"
        let script = """
            #!/bin/sh
            case "$*" in *-uuid*) ;; *) exec \(QEMUProgram.path) "$@" ;; esac
            exec \(QEMUProgram.path) "$@" -kernel \(kernel) -initrd \(ramdisk) \
            -append 'console=ttyS0 quiet full=1 tick=0'
            """
        try Data(script.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    private var exists: Bool {
        FileManager.default.fileExists(atPath: kernel) && FileManager.default.fileExists(atPath: ramdisk)
    }
}
