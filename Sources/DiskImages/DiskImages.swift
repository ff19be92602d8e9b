package import HostBackend
package import Logging
import Support
import SystemPackage

/// Disk files and config drives on this machine's file system, for every host that keeps real files.
///
/// Blank and raw disks are made with file calls alone; other formats go through `qemu-img`, config drives through
/// `xorriso`, both looked for at each use. A file comes into being under a temporary name, is synced and then renamed,
/// so that its final name never stands for half a disk and a record may refer to it once the call has returned. On
/// failure and cancellation the temporary file is removed.
///
/// Calls may come from any task in parallel; two calls for one path must not overlap. Errors are ``BackendError``.
package struct DiskImages: Sendable {
    package struct Settings: Sendable, Hashable {
        /// A name looked for in the search path, or an absolute path.
        package var qemuImgCommand: String
        /// The same for the program that builds ISO images, which must understand `-as mkisofs`.
        package var xorrisoCommand: String
        /// Directories separated by `:`; `nil` = the environment's PATH.
        package var searchPath: String?
        /// For a program that only creates or enlarges something.
        package var shortDeadline: Duration
        /// For a program that copies data.
        package var copyDeadline: Duration

        package init(
            qemuImgCommand: String = "qemu-img",
            xorrisoCommand: String = "xorriso",
            searchPath: String? = nil,
            shortDeadline: Duration = .seconds(60),
            copyDeadline: Duration = .seconds(3600)
        ) {
            self.qemuImgCommand = qemuImgCommand
            self.xorrisoCommand = xorrisoCommand
            self.searchPath = searchPath
            self.shortDeadline = shortDeadline
            self.copyDeadline = copyDeadline
        }
    }

    /// The largest disk that is made: 64 TiB.
    package static let maximumSize: UInt64 = 64 << 40

    let settings: Settings
    let tools: Tools
    package let work: FileWork

    package init(settings: Settings = Settings(), work: FileWork = FileWork(), logger: Logger) {
        self.settings = settings
        self.tools = Tools(searchPath: settings.searchPath, logger: logger)
        self.work = work
    }

    var qemuImg: Tools.Tool { Tools.Tool(command: settings.qemuImgCommand, package: "qemu-utils") }
    var xorriso: Tools.Tool { Tools.Tool(command: settings.xorrisoCommand, package: "xorriso") }

    /// Whether copy-on-write disks and formats other than raw can be made now.
    package var hasQemuImg: Bool { tools.find(qemuImg) != nil }

    /// Whether config drives can be built now.
    package var hasXorriso: Bool { tools.find(xorriso) != nil }

    /// Formats in which disks can be made now, best first.
    package var diskFormats: [String] { hasQemuImg ? ["qcow2", "raw"] : ["raw"] }

    // MARK: Information

    /// The disk's facts, from its own header; also while a machine uses it.
    ///
    /// - Parameter known: the format on record. A guest writes what it likes into a raw disk, also the header of a
    ///   format that refers to other files; so nothing is read from a disk that is known to be raw.
    package func diskInfo(_ path: String, known: String? = nil) async throws -> DiskInfo {
        try Self.check(path: path)
        let isRaw = known == DiskFormat.raw.rawValue
        let (header, occupied, backing) = try await work.run { _ in try Self.inspect(path, isRaw: isRaw) }
        if header.isEncrypted { throw BackendError(.invalidArgument, "\(path) is encrypted") }
        if header.hasDataFile { throw BackendError(.invalidArgument, "\(path) refers to a data file") }
        return DiskInfo(
            path: path,
            format: header.format.rawValue,
            virtualSize: try await virtualSize(path, header),
            actualSize: occupied,
            backingFile: backing
        )
    }

    private func virtualSize(_ path: String, _ header: DiskHeader) async throws -> UInt64 {
        if let size = header.virtualSize { return size }
        // The size of a VHDX stands in a table of tables, which qemu-img knows to read.
        let text = try await tools.run(
            qemuImg,
            ["info", "-U", "-f", header.format.rawValue, "--output=human", path],
            deadline: settings.shortDeadline
        )
        guard let size = Self.virtualSize(inInformation: text) else {
            throw BackendError(.internal, "qemu-img does not tell the size of \(path)")
        }
        return size
    }

    /// The number in "virtual size: 1 GiB (1073741824 bytes)".
    static func virtualSize(inInformation text: String) -> UInt64? {
        let line = text.split(separator: "\n").first { $0.hasPrefix("virtual size:") }
        guard let line, let open = line.lastIndex(of: "(") else { return nil }
        return UInt64(line[line.index(after: open)...].prefix { $0.isNumber })
    }

    /// What the file's signatures and header say, nothing of a raw one; blocks.
    package static func inspect(
        _ path: String,
        isRaw: Bool = false
    ) throws(BackendError) -> (DiskHeader, occupied: UInt64, backing: String?) {
        guard let status = try FileCalls.status(path) else {
            throw BackendError(.notFound, "there is no disk \(path)")
        }
        guard status.isRegular else { throw BackendError(.invalidArgument, "\(path) is no disk file") }
        if isRaw { return (DiskHeader(rawOfSize: status.size), status.occupied, nil) }
        let prefix = try FileCalls.read(path, offset: 0, count: DiskHeader.prefixLength)
        let footerStart = status.size - min(status.size, UInt64(DiskHeader.footerLength))
        let footer = try FileCalls.read(path, offset: footerStart, count: DiskHeader.footerLength)
        let header = try DiskHeader(prefix: prefix, footer: footer, fileSize: status.size)
        var backing: String?
        if let range = header.backingName {
            let name = try FileCalls.read(path, offset: range.lowerBound, count: range.count)
            backing = String(decoding: name, as: UTF8.self)
        }
        return (header, status.occupied, backing)
    }

    /// Paths come from the operations layer; what is refused here would be a way out of the arguments of a tool.
    static func check(path: String) throws(BackendError) {
        guard path.hasPrefix("/"), !path.utf8.contains(0), path.utf8.count < 4096 else {
            throw BackendError(.invalidArgument, "not an absolute path: \(path.prefix(200))")
        }
    }
}
