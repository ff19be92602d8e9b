import Glibc
import HostBackend
import Support

/// Makes a machine's files usable for the user that QEMU runs as. Blocks.
enum MachineAccess {
    /// Gives that user the disks in the instance's directory, and the way to them.
    ///
    /// Files elsewhere, such as volumes, are the operator's; their permissions are not touched. Nothing is done without a user of QEMU's own.
    static func grant(_ spec: MachineSpec, to user: MachineUser?) throws(BackendError) {
        guard let user else { return }
        let directory = spec.directory + "/"
        for disk in spec.disks where disk.path.hasPrefix(directory) {
            // Only a file is given away, never what a link leads to.
            let file = open(disk.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            guard file >= 0 else { throw failure("open", disk.path) }
            defer { close(file) }
            guard fchown(file, user.uid, user.gid) == 0 else { throw failure("chown", disk.path) }
        }
        try openWay(spec.directory)
        // Made after this host was connected, on its first start.
        if let slash = spec.directory.lastIndex(of: "/"), slash != spec.directory.startIndex {
            try openWay(String(spec.directory[..<slash]))
        }
    }

    /// Lets that user's group read an image that is ours, for a disk that is a layer over it, and lets it pass through
    /// the directories of ours that lead there. An image of somebody else's is left as it is.
    static func share(_ image: String, with user: MachineUser) throws(BackendError) {
        guard let resolved = realpath(image, nil) else { throw failure("open", image) }
        defer { free(resolved) }
        let path = String(cString: resolved)
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        var information = stat()
        guard fstat(file, &information) == 0 else { throw failure("stat", path) }
        guard information.st_uid == geteuid(), information.st_mode & S_IROTH == 0 else { return }
        guard fchown(file, uid_t.max, user.gid) == 0, fchmod(file, information.st_mode & 0o7777 | S_IRGRP) == 0 else {
            throw failure("chmod", path)
        }
        var directory = path
        for _ in 0..<2 {
            guard let slash = directory.lastIndex(of: "/"), slash != directory.startIndex else { return }
            directory = String(directory[..<slash])
            try openWay(directory)
        }
    }

    /// Lets others pass through a directory of ours, without seeing what is in it.
    static func openWay(_ directory: String) throws(BackendError) {
        var information = stat()
        guard stat(directory, &information) == 0 else { throw failure("stat", directory) }
        guard information.st_mode & S_IXOTH == 0, information.st_uid == geteuid() else { return }
        guard chmod(directory, information.st_mode & 0o7777 | S_IXGRP | S_IXOTH) == 0 else {
            throw failure("chmod", directory)
        }
    }

    /// The same; a missing directory is fine.
    static func openWay(ifThere directory: String) throws(BackendError) {
        if access(directory, F_OK) == 0 { try openWay(directory) }
    }

    /// Who we are.
    static var ownUser: UInt32 { geteuid() }

    /// Throws `unauthorized`, with the place, when a user that is not root cannot get to the directory.
    static func checkWay(to directory: String, for user: MachineUser) throws(BackendError) {
        var path = ""
        for name in directory.split(separator: "/") {
            path += "/" + name
            var information = stat()
            guard stat(path, &information) == 0 else { throw failure("stat", path) }
            let mask: mode_t =
                information.st_uid == user.uid ? S_IXUSR : information.st_gid == user.gid ? S_IXGRP : S_IXOTH
            guard information.st_mode & mask == 0 else { continue }
            throw BackendError(.unauthorized, "user \(user.name) of QEMU must be able to pass through \(path)")
        }
    }

    /// Looks a user up by its name.
    static func user(_ name: String) throws(BackendError) -> MachineUser {
        errno = 0
        guard let entry = getpwnam(name) else {
            throw BackendError(.invalidArgument, "there is no user \(name) for QEMU to run as")
        }
        return MachineUser(name: name, uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid)
    }

    private static func failure(_ call: String, _ path: String) -> BackendError {
        let error = SystemCallError(call, errno, path: path)
        return BackendError([EPERM, EACCES].contains(error.number) ? .unauthorized : .internal, "\(error)")
    }
}
