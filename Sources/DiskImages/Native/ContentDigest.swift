import CCrypto
import Glibc
package import HostBackend
import SystemPackage

/// Digests by OpenSSL's libcrypto, which the process has loaded for TLS anyway and which uses the processor's
/// instructions for them.
package enum ContentDigest {
    /// The names that Nova's `os_hash_algo` may have here, with the digits of their values.
    package static let digits = ["md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128]

    private static let block = 1 << 20

    /// SHA-256 of a text, in hexadecimal digits.
    package static func sha256(_ text: String) throws(BackendError) -> String {
        let digest = try Running("sha256")
        try FileCalls.on(text) { try Array(text.utf8).withUnsafeBytes { try digest.add($0) } }
        return try digest.finish()
    }

    /// The digests of a file's content, read once; blocks. Cancellation is looked at between blocks.
    package static func file(
        _ path: String,
        _ algorithms: Set<String>,
        _ cancellation: FileWork.Cancellation
    ) throws(BackendError) -> [String: String] {
        var running: [String: Running] = [:]
        for name in algorithms { running[name] = try Running(name) }
        try FileCalls.on(path) {
            let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
            try file.closeAfter {
                posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_SEQUENTIAL)
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 64)
                defer { buffer.deallocate() }
                while true {
                    try cancellation.check()
                    let count = try file.read(into: buffer)
                    if count == 0 { break }
                    for digest in running.values {
                        try digest.add(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                    }
                }
            }
        }
        var values: [String: String] = [:]
        for (name, digest) in running { values[name] = try digest.finish() }
        return values
    }

    /// One digest being computed; its context is freed with it. Used by one thread at a time.
    package final class Running {
        private let context: OpaquePointer

        package init(_ name: String) throws(BackendError) {
            guard ContentDigest.digits[name] != nil, let algorithm = EVP_get_digestbyname(name),
                let context = EVP_MD_CTX_new()
            else { throw BackendError(.invalidArgument, "checksums of the kind \(name) are not known here") }
            self.context = context
            guard EVP_DigestInit_ex(context, algorithm, nil) == 1 else {
                throw BackendError(.internal, "libcrypto cannot compute \(name)")
            }
        }

        deinit { EVP_MD_CTX_free(context) }

        package func add(_ bytes: UnsafeRawBufferPointer) throws(BackendError) {
            guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
                throw BackendError(.internal, "libcrypto failed")
            }
        }

        package func add(_ bytes: [UInt8]) throws(BackendError) {
            let isAdded = bytes.withUnsafeBytes { EVP_DigestUpdate(context, $0.baseAddress, $0.count) == 1 }
            guard isAdded else { throw BackendError(.internal, "libcrypto failed") }
        }

        package func finish() throws(BackendError) -> String {
            var value = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            var count: UInt32 = 0
            guard EVP_DigestFinal_ex(context, &value, &count) == 1 else {
                throw BackendError(.internal, "libcrypto failed")
            }
            let digits = Array("0123456789abcdef".utf8)
            return String(
                decoding: value.prefix(Int(count)).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
                as: UTF8.self
            )
        }
    }
}
