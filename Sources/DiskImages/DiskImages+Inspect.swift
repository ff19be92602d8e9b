package import HostBackend
import JSONCodec
package import Support

extension DiskImages {
    /// What `qemu-img info` says of a file that may have been made to harm its reader.
    ///
    /// The program runs with limits of processor time (30 s) and memory (1 GiB), without core dumps, at most
    /// ``Settings/shortDeadline`` long, as `nobody` when this process is root and the file can be read by all. The
    /// format is given, so that content cannot choose another driver, and the file is handed over open.
    ///
    /// - Throws: `invalidArgument` when the program refuses the file or comes to its limits; `unimplemented` without it.
    package func untrustedInformation(_ path: String, _ format: DiskFormat) async throws(BackendError) -> JSONObject {
        try Self.check(path: path)
        let text: String
        do throws(BackendError) {
            text = try await tools.run(
                qemuImg,
                ["info", "-U", "-f", format.rawValue, "--output=json", "/proc/self/fd/0"],
                confinement: Tools.Confinement(input: path),
                deadline: settings.shortDeadline
            )
        } catch let error where error.code == .internal || error.code == .timeout {
            throw BackendError(.invalidArgument, "it does not pass inspection: \(error.message)", cause: error.cause)
        }
        do {
            if let object = try JSONReader.read(Array(text.utf8)).objectValue { return object }
            throw BackendError(.internal, "qemu-img said nothing of use")
        } catch let error as BackendError {
            throw error
        } catch {
            throw BackendError(.internal, "qemu-img said nothing of use", cause: error)
        }
    }
}
