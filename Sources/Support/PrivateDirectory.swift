import Glibc

/// A directory for files that nobody else may touch.
package enum PrivateDirectory {
    /// Why a directory cannot be trusted, in words for the operator.
    package struct Untrusted: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes the directory, owner only, if it is missing, and makes sure of one that is there. Blocks.
    ///
    /// - Throws: ``FileError`` when it cannot be made or is no directory; ``Untrusted`` when it belongs to neither this
    ///   user nor root, or when others may write to it, or to a directory above it that is not sticky: they could
    ///   put files or links of theirs in the place of ours.
    package static func prepare(_ path: String) throws {
        try makeDirectories(path)
        guard let own = realpath(path, nil) else { throw FileError("open", path) }
        defer { free(own) }
        var place = String(cString: own)
        let whole = place
        while true {
            var status = stat()
            guard lstat(place, &status) == 0 else { throw FileError("open", place) }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw Untrusted(description: "\(place) is not a directory")
            }
            let isSticky = status.st_mode & S_ISVTX != 0 && place != whole
            if status.st_mode & S_IWOTH != 0, !isSticky {
                throw Untrusted(
                    description: "\(path) is not safe: everybody may write to \(place); run: chmod o-w \(place)"
                )
            }
            if place == whole, status.st_uid != geteuid(), status.st_uid != 0 {
                throw Untrusted(
                    description:
                        "\(path) is not safe: \(place) belongs to user \(status.st_uid) and the worker runs as "
                        + "\(geteuid()); run: chown \(geteuid()) \(place)"
                )
            }
            guard let slash = place.lastIndex(of: "/"), place != "/" else { return }
            place = slash == place.startIndex ? "/" : String(place[..<slash])
        }
    }
}
