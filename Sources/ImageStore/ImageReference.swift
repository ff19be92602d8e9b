import DiskImages
import HostBackend

/// The name under which a client asks for an image. It is data: checked before it becomes part of a path.
enum ImageReference {
    static let maximumLength = 200

    /// Extensions in the order in which they are looked for.
    static let extensions = ["qcow2", "raw", "img", "vhdx", "vhd"]

    static func check(_ reference: String) throws(BackendError) {
        let bytes = reference.utf8
        let isPlain =
            !bytes.isEmpty && bytes.count <= maximumLength && bytes.first != UInt8(ascii: ".")
            && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }
        guard isPlain else {
            throw BackendError(.invalidArgument, "not the name of an image")
        }
    }

    /// The file of a checked reference, and the format its extension declares; `nil` when there is none. Blocks.
    static func find(
        _ reference: String,
        in directory: String
    ) throws(BackendError) -> (path: String, declared: DiskFormat?)? {
        let plain = directory + "/" + reference
        if try FileCalls.status(plain)?.isRegular == true { return (plain, declared(plain)) }
        for name in extensions {
            let path = plain + "." + name
            if try FileCalls.status(path)?.isRegular == true { return (path, declared(path)) }
        }
        return nil
    }

    /// `.img` says nothing about the content; neither does a reference without a known extension.
    static func declared(_ path: String) -> DiskFormat? {
        guard let dot = path.lastIndex(of: ".") else { return nil }
        let name = path[path.index(after: dot)...].lowercased()
        return name == "img" || name == "iso" ? nil : DiskFormat(name: name)
    }
}
