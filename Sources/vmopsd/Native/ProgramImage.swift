import CSystemShims
import Glibc
import Support

/// The program of this process, which another can take the place of.
enum ProgramImage {
    /// Where the program was started from. An upgrade puts the new one there, so it is the name that counts and not
    /// the file, which may be deleted by then.
    static let path: String = {
        let name = CommandLine.arguments.first ?? ""
        if name.hasPrefix("/") { return name }
        if name.contains("/"), let directory = getcwd(nil, 0) {
            defer { free(directory) }
            return String(cString: directory) + "/" + name
        }
        guard let own = realpath("/proc/self/exe", nil) else { return name }
        defer { free(own) }
        return String(cString: own)
    }()

    /// Goes on as the program at ``path``, with the same process id, arguments, standard streams and environment; all
    /// other descriptors are closed and all threads end. Returns only when that is not possible.
    ///
    /// - Parameter variables: added to the environment.
    static func replace(adding variables: [String: String]) -> SystemCallError {
        for (name, value) in variables { setenv(name, value, 1) }
        _ = vmops_close_all_on_exec()
        // A stop is heeded from here on: everything is on disk. Requests to reload are what the start does anyway.
        var none = sigset_t()
        sigemptyset(&none)
        signal(SIGTERM, SIG_DFL)
        signal(SIGINT, SIG_DFL)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        // Not freed: either the memory goes with the old program, or the process ends.
        var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
        arguments.append(nil)
        execve(path, &arguments, environ)
        return SystemCallError("execve", errno, path: path)
    }
}
