import Glibc
import HostBackend
import HostConformance
import Support

extension WireHost {
    // MARK: Images and disks

    func image(_ reference: String) async throws -> ImageInfo {
        let image = try await call("image.get", ["reference": .string(reference)])
        guard let path = image["path"]?.stringValue, let format = image["format"]?.stringValue else {
            throw CheckFailure(expected: "image.get has path and format", seen: WireText.short(image))
        }
        return ImageInfo(
            reference: image["reference"]?.stringValue ?? reference,
            path: path,
            format: format,
            virtualSize: UInt64(clamping: try Self.integer(image, "virtual_size", "image.get"))
        )
    }

    func createDisk(_ request: DiskRequest) async throws -> DiskInfo {
        var params: JSONObject = ["path": .string(request.path), "format": .string(request.format)]
        switch request.source {
        case .blank: params["source"] = "blank"
        case .overlay(let image):
            params["source"] = "overlay"
            params["image"] = .object(Self.record(image))
        case .copy(let image):
            params["source"] = "copy"
            params["image"] = .object(Self.record(image))
        }
        if let size = request.virtualSize { params["virtual_size"] = .int(Int64(clamping: size)) }
        return try Self.disk(try await call("disk.create", params), "disk.create")
    }

    func diskInfo(_ path: String) async throws -> DiskInfo {
        try Self.disk(try await call("disk.info", ["path": .string(path)]), "disk.info")
    }

    func resizeDisk(_ path: String, virtualSize: UInt64) async throws {
        _ = try await call("disk.resize", ["path": .string(path), "virtual_size": .int(Int64(clamping: virtualSize))])
    }

    func buildConfigDrive(_ files: [ConfigDriveFile], at path: String) async throws {
        let list = files.map { file -> JSONValue in
            ["path": .string(file.path), "base64": .string(Base64.encode(file.content))]
        }
        _ = try await call("configDrive.build", ["path": .string(path), "files": .array(list)])
    }

    // MARK: Devices

    func attachDisk(_ disk: DiskAttachment, to uuid: InstanceUUID) async throws {
        _ = try await call("machine.attachDisk", ["uuid": .string(uuid.text), "disk": .object(disk.record)])
    }

    func detachDisk(path: String, from uuid: InstanceUUID) async throws {
        _ = try await call("machine.detachDisk", ["uuid": .string(uuid.text), "path": .string(path)])
    }

    func attachInterface(_ interface: NetworkInterface, to uuid: InstanceUUID) async throws {
        _ = try await call("machine.attachInterface", Self.params(interface, uuid))
    }

    func detachInterface(id: String, from uuid: InstanceUUID) async throws {
        _ = try await call("machine.detachInterface", ["uuid": .string(uuid.text), "id": .string(id)])
    }

    func plugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        _ = try await call("network.plug", Self.params(interface, uuid))
    }

    func unplugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        _ = try await call("network.unplug", Self.params(interface, uuid))
    }

    // MARK: Consoles

    func openConsole(_ uuid: InstanceUUID) async throws -> ConsoleEndpoint {
        let result = try await call("console.open", uuid)
        if let stream = result["stream"]?.intValue { return .stream(caller.stream(stream)) }
        guard let path = result["path"]?.stringValue else {
            throw CheckFailure(expected: "console.open has a stream or a path", seen: WireText.short(result))
        }
        return .descriptor(ConsoleDescriptor(fileDescriptor: try Self.open(path)))
    }

    func writeConsole(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws {
        _ = try await call("console.write", ["uuid": .string(uuid.text), "base64": .string(Base64.encode(bytes))])
    }

    /// A FIFO, a pseudo terminal or a Unix socket.
    private static func open(_ path: String) throws -> Int32 {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw CheckFailure(expected: "the console's path \(path) is there", seen: "it is not")
        }
        if status.st_mode & S_IFMT == S_IFSOCK {
            do {
                return try Descriptors.connect(path)
            } catch {
                throw CheckFailure(expected: "a console that can be connected to", seen: "\(error)")
            }
        }
        let descriptor = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else {
            throw CheckFailure(
                expected: "a console that can be opened",
                seen: "\(SystemCallError("open", errno, path: path))"
            )
        }
        return descriptor
    }

    // MARK: Values

    static func integer(_ object: JSONObject, _ name: String, _ method: String) throws -> Int64 {
        guard let number = object[name]?.intValue else {
            throw CheckFailure(expected: "\(method) has the integer \(name)", seen: WireText.short(object))
        }
        return number
    }

    static func state(_ object: JSONObject, _ method: String) throws -> MachineState {
        guard let state = object["state"]?.stringValue.flatMap(MachineState.init(rawValue:)) else {
            throw CheckFailure(expected: "\(method) has the machine's state", seen: WireText.short(object))
        }
        return state
    }

    static func summary(_ entry: JSONValue) throws -> MachineSummary {
        guard let object = entry.objectValue, let name = object["name"]?.stringValue else {
            throw CheckFailure(expected: "each machine of machine.list has a name", seen: WireText.short(entry))
        }
        return MachineSummary(
            name: name,
            uuid: object["uuid"]?.stringValue.flatMap { InstanceUUID($0) },
            state: try state(object, "machine.list"),
            incarnation: UInt64(clamping: object["incarnation"]?.intValue ?? 0)
        )
    }

    static func disk(_ info: JSONObject, _ method: String) throws -> DiskInfo {
        guard let path = info["path"]?.stringValue, let format = info["format"]?.stringValue else {
            throw CheckFailure(expected: "\(method) has path and format", seen: WireText.short(info))
        }
        return DiskInfo(
            path: path,
            format: format,
            virtualSize: UInt64(clamping: try integer(info, "virtual_size", method)),
            actualSize: UInt64(clamping: try integer(info, "actual_size", method)),
            backingFile: info["backing_file"]?.stringValue
        )
    }

    private static func record(_ image: ImageInfo) -> JSONObject {
        [
            "reference": .string(image.reference), "path": .string(image.path), "format": .string(image.format),
            "virtual_size": .int(Int64(clamping: image.virtualSize)),
        ]
    }

    private static func params(_ interface: NetworkInterface, _ uuid: InstanceUUID) -> JSONObject {
        ["uuid": .string(uuid.text), "interface": .object(interface.record)]
    }
}
