package import HostBackend
package import Support

/// What a worker sends (plugin protocol, section 4).
package enum WorkerMessage: Sendable, Hashable {
    case hello(WorkerHello)
    case request(PluginRequest)
    case cancel(id: Int64)
    case credit(stream: UInt32, bytes: UInt64)
    case ping(id: Int64)
    case pong(id: Int64)
    case goodbye(reason: String)

    /// `nil` for a kind that is not known.
    package init?(_ json: JSONObject) throws(BackendError) {
        let members = PluginMembers(json, of: json["kind"]?.stringValue ?? "a message", code: .invalidArgument)
        switch members.text("kind") {
        case "hello": self = .hello(try WorkerHello(members))
        case "request": self = .request(try PluginRequest(members))
        case "cancel": self = .cancel(id: Int64(try members.integer("id")))
        case "credit":
            self = .credit(stream: UInt32(clamping: try members.count("stream")), bytes: try members.count("bytes"))
        case "ping": self = .ping(id: Int64(try members.integer("id")))
        case "pong": self = .pong(id: Int64(try members.integer("id")))
        case "goodbye": self = .goodbye(reason: members.text("reason") ?? "")
        case nil: throw members.wrong("kind", "a string")
        default: return nil
        }
    }

    package var json: JSONObject {
        switch self {
        case .hello(let hello): hello.json
        case .request(let request): request.json
        case .cancel(let id): ["kind": "cancel", "id": .int(id)]
        case .credit(let stream, let bytes):
            ["kind": "credit", "stream": .int(Int64(stream)), "bytes": .int(Int64(clamping: bytes))]
        case .ping(let id): ["kind": "ping", "id": .int(id)]
        case .pong(let id): ["kind": "pong", "id": .int(id)]
        case .goodbye(let reason): ["kind": "goodbye", "reason": .string(reason)]
        }
    }
}

/// One request.
package struct PluginRequest: Sendable, Hashable {
    package var id: Int64
    package var method: String
    package var params: JSONObject
    /// Milliseconds from the arrival; `nil` = no deadline.
    package var deadline: Int?
    package var idempotencyKey: String?

    package init(
        id: Int64,
        method: String,
        params: JSONObject = [:],
        deadline: Int? = nil,
        idempotencyKey: String? = nil
    ) {
        self.id = id
        self.method = method
        self.params = params
        self.deadline = deadline
        self.idempotencyKey = idempotencyKey
    }

    init(_ members: PluginMembers) throws(BackendError) {
        id = Int64(try members.integer("id"))
        method = try members.name("method")
        params = try members.members("params").json
        let milliseconds = try members.integer("deadline_ms", default: 0)
        deadline = milliseconds > 0 ? milliseconds : nil
        idempotencyKey = try members.optional("idempotency_key")
    }

    var json: JSONObject {
        var json: JSONObject = [
            "kind": "request", "id": .int(id), "method": .string(method), "params": .object(params),
        ]
        if let deadline { json["deadline_ms"] = .int(Int64(deadline)) }
        if let idempotencyKey { json["idempotency_key"] = .string(idempotencyKey) }
        return json
    }
}

/// What a plugin sends (plugin protocol, section 4).
package enum PluginMessage: Sendable, Hashable {
    case hello(PluginHello)
    /// In place of the handshake.
    case error(PluginFault)
    case result(id: Int64, JSONObject)
    case fault(id: Int64, PluginFault)
    case progress(id: Int64, JSONObject)
    case event(PluginEvent)
    case dropped(stream: UInt32, offset: UInt64, bytes: UInt64)
    case end(stream: UInt32, PluginStreamEnd)
    case ping(id: Int64)
    case pong(id: Int64)

    /// `nil` for a kind that is not known.
    package init?(_ json: JSONObject) throws(BackendError) {
        let members = PluginMembers(json, of: json["kind"]?.stringValue ?? "a message", code: .internal)
        switch members.text("kind") {
        case "hello": self = .hello(try PluginHello(members))
        case "error": self = .error(PluginFault(json["error"] ?? .null))
        case "response":
            let id = Int64(try members.integer("id"))
            if members.has("error") {
                self = .fault(id: id, PluginFault(json["error"] ?? .null))
            } else {
                self = .result(id: id, try members.members("result").json)
            }
        case "progress": self = .progress(id: Int64(try members.integer("id")), json)
        case "event":
            guard let event = try PluginEvent(members) else { return nil }
            self = .event(event)
        case "dropped":
            self = .dropped(
                stream: UInt32(clamping: try members.count("stream")),
                offset: try members.count("offset", default: 0),
                bytes: try members.count("bytes")
            )
        case "end":
            self = .end(
                stream: UInt32(clamping: try members.count("stream")),
                PluginStreamEnd(rawValue: members.text("reason") ?? "") ?? .none
            )
        case "ping": self = .ping(id: Int64(try members.integer("id")))
        case "pong": self = .pong(id: Int64(try members.integer("id")))
        case nil: throw members.wrong("kind", "a string")
        default: return nil
        }
    }

    package var json: JSONObject {
        switch self {
        case .hello(let hello): return hello.json
        case .error(let fault): return ["kind": "error", "error": .object(fault.json)]
        case .result(let id, let result): return ["kind": "response", "id": .int(id), "result": .object(result)]
        case .fault(let id, let fault): return ["kind": "response", "id": .int(id), "error": .object(fault.json)]
        case .progress(let id, var json):
            json["kind"] = "progress"
            json["id"] = .int(id)
            return json
        case .event(let event): return event.json
        case .dropped(let stream, let offset, let bytes):
            return [
                "kind": "dropped", "stream": .int(Int64(stream)), "offset": .int(Int64(clamping: offset)),
                "bytes": .int(Int64(clamping: bytes)),
            ]
        case .end(let stream, let reason):
            return ["kind": "end", "stream": .int(Int64(stream)), "reason": .string(reason.rawValue)]
        case .ping(let id): return ["kind": "ping", "id": .int(id)]
        case .pong(let id): return ["kind": "pong", "id": .int(id)]
        }
    }
}

/// Why a console stream is over (plugin protocol, section 9).
package enum PluginStreamEnd: String, Sendable, Hashable, CaseIterable {
    case stopped, migrated, closed, superseded, lost, none
}

/// What happened to a machine (plugin protocol, section 8).
package struct PluginEvent: Sendable, Hashable {
    package var sequence: UInt64
    package var uuid: InstanceUUID
    package var incarnation: UInt64
    package var kind: MachineEvent.Kind
    /// When, in the plugin's words (ISO 8601).
    package var time: String?

    package init(
        sequence: UInt64,
        uuid: InstanceUUID,
        incarnation: UInt64,
        kind: MachineEvent.Kind,
        time: String? = nil
    ) {
        self.sequence = sequence
        self.uuid = uuid
        self.incarnation = incarnation
        self.kind = kind
        self.time = time
    }

    /// `nil` for a type that is not known.
    init?(_ members: PluginMembers) throws(BackendError) {
        let reason = MachineEvent.StopReason(rawValue: members.text("reason") ?? "") ?? .guest
        guard let kind = MachineEvent.Kind(name: try members.name("type"), reason: reason) else { return nil }
        self.kind = kind
        sequence = try members.count("seq")
        uuid = try members.uuid()
        incarnation = try members.count("incarnation", default: 0)
        time = try members.optional("time")
    }

    var json: JSONObject {
        var json: JSONObject = [
            "kind": "event", "seq": .int(Int64(clamping: sequence)), "uuid": .string(uuid.text),
            "incarnation": .int(Int64(clamping: incarnation)), "type": .string(kind.name),
        ]
        if case .stopped(let reason) = kind { json["reason"] = .string(reason.rawValue) }
        if let time { json["time"] = .string(time) }
        return json
    }
}

extension MachineEvent.Kind {
    /// The event's `type` on the wire.
    package var name: String {
        switch self {
        case .started: "started"
        case .stopped: "stopped"
        case .paused: "paused"
        case .resumed: "resumed"
        case .saved: "saved"
        case .rebooted: "rebooted"
        case .crashed: "crashed"
        case .migratedIn: "migrated-in"
        case .migratedOut: "migrated-out"
        case .removed: "removed"
        }
    }

    init?(name: String, reason: MachineEvent.StopReason) {
        let plain: [MachineEvent.Kind] = [
            .started, .paused, .resumed, .saved, .rebooted, .crashed, .migratedIn, .migratedOut, .removed,
        ]
        if name == "stopped" {
            self = .stopped(reason)
        } else if let kind = plain.first(where: { $0.name == name }) {
            self = kind
        } else {
            return nil
        }
    }
}
