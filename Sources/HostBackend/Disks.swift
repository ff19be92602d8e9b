/// A cached image: ready to be copied or to back a copy-on-write disk, and never written to.
package struct ImageInfo: Sendable, Hashable {
    package var reference: String
    package var path: String
    package var format: String
    /// Bytes the guest sees.
    package var virtualSize: UInt64

    package init(reference: String, path: String, format: String, virtualSize: UInt64) {
        self.reference = reference
        self.path = path
        self.format = format
        self.virtualSize = virtualSize
    }
}

package struct DiskInfo: Sendable, Hashable {
    package var path: String
    package var format: String
    /// Bytes the guest sees.
    package var virtualSize: UInt64
    /// Bytes the file occupies.
    package var actualSize: UInt64
    package var backingFile: String?

    package init(path: String, format: String, virtualSize: UInt64, actualSize: UInt64, backingFile: String? = nil) {
        self.path = path
        self.format = format
        self.virtualSize = virtualSize
        self.actualSize = actualSize
        self.backingFile = backingFile
    }
}

/// How a disk file comes into being.
package enum DiskSource: Sendable, Hashable {
    /// Nothing in it.
    case blank
    /// A copy-on-write layer over the image.
    case overlay(ImageInfo)
    /// A full copy of the image.
    case copy(ImageInfo)
}

package struct DiskRequest: Sendable, Hashable {
    package var path: String
    package var format: String
    package var source: DiskSource
    /// Bytes the guest sees; `nil` = as large as the source.
    package var virtualSize: UInt64?

    package init(path: String, format: String, source: DiskSource, virtualSize: UInt64?) {
        self.path = path
        self.format = format
        self.source = source
        self.virtualSize = virtualSize
    }
}

/// A file for the config drive, such as `openstack/latest/meta_data.json`.
package struct ConfigDriveFile: Sendable, Hashable {
    /// Relative, with `/`; checked against escapes by the builder.
    package var path: String
    package var content: [UInt8]

    package init(path: String, content: [UInt8]) {
        self.path = path
        self.content = content
    }
}
