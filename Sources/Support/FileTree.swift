import Glibc

/// Makes the directory and its missing parents, owner only; an existing one is fine. Blocks.
package func makeDirectories(_ path: String) throws {
    if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
        throw FileError("create", path)
    }
    try makeDirectories(String(path[..<slash]))
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError("create", path) }
}

/// Removes a file or directory with everything below it, never following a symbolic link; a missing one is fine. Blocks.
package func removeTree(_ path: String) throws {
    if unlink(path) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else { throw FileError("remove", path) }
    for name in try namesInDirectory(path) { try removeTree("\(path)/\(name)") }
    guard rmdir(path) == 0 || errno == ENOENT else { throw FileError("remove", path) }
}

/// The names in a directory, without `.` and `..`, in no order; a missing directory is empty. Blocks.
package func namesInDirectory(_ path: String) throws -> [String] {
    guard let directory = opendir(path) else {
        if errno == ENOENT { return [] }
        throw FileError("open", path)
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}
