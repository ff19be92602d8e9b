import Support

/// Small files that are there as a whole or not at all, whatever happens.
enum DurableFile {
    /// Puts a file in place of one that may be there, or makes it; on the disk when this returns. Blocks.
    static func replace(_ path: String, with text: String) throws {
        let temporary = path + ".new"
        try? ReactorDirectory.removeFile(temporary)
        let file = try ReactorFile.writing(temporary, exclusively: true)
        try file.write(Array(text.utf8))
        try file.sync()
        try ReactorDirectory.rename(temporary, path)
        try ReactorDirectory.sync(String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]))
    }
}
