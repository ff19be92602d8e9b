import DiskImages
import HostBackend

extension ImageRequest {
    /// The same with a checksum that ends the URL, as in `https://host/image.qcow2#sha256=0123...`, among its checksums.
    func takingFragment() throws(BackendError) -> ImageRequest {
        guard reference.contains("://"), let mark = reference.firstIndex(of: "#") else { return self }
        let parts = reference[reference.index(after: mark)...].split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw BackendError(.invalidArgument, "what follows # is no checksum") }
        var request = self
        request.reference = String(reference[..<mark])
        request.checksums.append(ImageChecksum(algorithm: String(parts[0]), value: String(parts[1])))
        return request
    }
}

/// What must be true of an image's file, checked for form.
struct ImageConditions: Sendable, Hashable {
    /// By algorithm.
    var checksums: [String: String] = [:]
    var format: DiskFormat?
    var size: UInt64?

    /// - Throws: `invalidArgument` for a checksum of another kind or length, and for formats that are not accepted.
    init(_ request: ImageRequest) throws(BackendError) {
        for checksum in request.checksums {
            guard let digits = ContentDigest.digits[checksum.algorithm] else {
                throw BackendError(.invalidArgument, "checksums of the kind \(checksum.algorithm) are not known here")
            }
            let isHexadecimal = checksum.value.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
            }
            guard isHexadecimal, checksum.value.utf8.count == digits else {
                throw BackendError(.invalidArgument, "its \(checksum.algorithm) is none")
            }
            if let other = checksums[checksum.algorithm], other != checksum.value {
                throw BackendError(.invalidArgument, "two different checksums of the kind \(checksum.algorithm)")
            }
            checksums[checksum.algorithm] = checksum.value
        }
        if let name = request.format {
            guard let format = DiskFormat(name: name) else {
                throw BackendError(.invalidArgument, "disk format \(name) is not accepted")
            }
            self.format = format
        }
        size = request.size
    }

    /// The same; where nothing is said of the format, this one.
    func expecting(_ format: DiskFormat?) -> ImageConditions {
        var conditions = self
        conditions.format = self.format ?? format
        return conditions
    }

    /// Holds the computed checksums of a file against those wanted.
    func check(_ computed: [String: String]) throws(BackendError) {
        for (algorithm, wanted) in checksums.sorted(by: { $0.key < $1.key }) where computed[algorithm] != wanted {
            throw BackendError(
                .invalidArgument,
                "its \(algorithm) is \(computed[algorithm] ?? "unknown") and should be \(wanted)"
            )
        }
    }

    func check(size: UInt64) throws(BackendError) {
        if let wanted = self.size, wanted != size {
            throw BackendError(.invalidArgument, "it has \(size) bytes and should have \(wanted)")
        }
    }

    func check(format: DiskFormat) throws(BackendError) {
        if let wanted = self.format, wanted != format {
            throw BackendError(.invalidArgument, "it is declared as \(wanted.rawValue) and is \(format.rawValue)")
        }
    }
}
