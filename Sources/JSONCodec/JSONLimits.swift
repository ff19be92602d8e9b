/// Bounds on the documents that are read; a document beyond them is refused with an error.
package struct JSONLimits: Sendable, Hashable {
    /// The longest document, in bytes.
    package var maximumBytes: Int
    /// The most arrays and objects around a value. Python's own limit is a little under 1000.
    package var maximumDepth: Int

    /// The deepest value that can be written: what may be read plus what a reply puts around it.
    static let writingDepth = 1024

    package init(maximumBytes: Int = 16 << 20, maximumDepth: Int = 512) {
        self.maximumBytes = maximumBytes
        self.maximumDepth = min(maximumDepth, Self.writingDepth)
    }
}
