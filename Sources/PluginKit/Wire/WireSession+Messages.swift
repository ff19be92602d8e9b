import Support

extension WireSession.State {
    mutating func violate(_ section: String, _ text: String) {
        // A plugin that goes on like this is not worth more.
        if violations.count < 100 { violations.append(WireViolation(section: section, text: text)) }
    }

    mutating func receive(_ frame: WireFrame) {
        switch frame {
        case .message(let message): receive(message)
        case .console(let id, let offset, let bytes):
            change(id, "console bytes") { $0.receive(bytes, at: offset) }
        case .other:
            // A later version's: allowed.
            break
        }
    }

    private mutating func receive(_ message: JSONObject) {
        let kind = message["kind"]?.stringValue
        if hello == nil, refusal == nil { return greet(kind, message) }
        switch kind {
        case "response": answer(message)
        case "event": event(message)
        case "pong":
            if let id = message["id"]?.intValue { pongs.insert(id) } else { violate("4", "a pong without an id") }
        case "progress":
            guard let id = message["id"]?.intValue, methods[id] != nil else {
                return violate("4", "progress of a request that was not sent: \(WireText.short(message))")
            }
            if answers[id] != nil { violate("4", "progress of request \(id) after its answer") }
            progress[id, default: []].append(message)
        case "dropped":
            let offset = message["offset"]?.intValue.map { UInt64(clamping: $0) }
            let count = message["bytes"]?.intValue.map { UInt64(clamping: $0) }
            guard let id = message["stream"]?.intValue, let offset, let count else {
                return violate("9", "a dropped message without stream, offset or bytes: \(WireText.short(message))")
            }
            change(id, "a dropped message") { $0.drop(count, at: offset) }
        case "end":
            guard let id = message["stream"]?.intValue else { return violate("9", "an end without its stream") }
            let reason = message["reason"]?.stringValue ?? "none"
            change(id, "an end") { $0.end(reason) }
        case "error":
            // How a plugin says what we did wrong before it ends the connection (section 2).
            complaint = WireError.read(message["error"] ?? .null).error.message
        case "hello":
            violate("3", "a second hello")
        default:
            // A later version's, and the plugin's own pings: allowed.
            if kind == nil { violate("4", "a message without a kind: \(WireText.short(message))") }
        }
    }

    private mutating func greet(_ kind: String?, _ message: JSONObject) {
        switch kind {
        case "hello": hello = message
        case "error":
            let (error, violation) = WireError.read(message["error"] ?? .null)
            if let violation { violations.append(violation) }
            refusal = error
        default: violate("3", "\(WireText.short(message)) before the hello")
        }
    }

    private mutating func answer(_ message: JSONObject) {
        guard let id = message["id"]?.intValue else { return violate("4", "a response without an id") }
        guard let method = methods[id] else { return violate("4", "a response to request \(id), which was not sent") }
        guard answers[id] == nil else { return violate("4", "a second response to request \(id), \(method)") }
        answerOrder.append(id)
        if let error = message["error"], !error.isNull {
            let (error, violation) = WireError.read(error)
            if let violation { violations.append(violation) }
            answers[id] = .error(error)
            return
        }
        let value = message["result"] ?? .null
        if !value.isNull, value.objectValue == nil {
            violate("4", "the result of \(method) is no object: \(WireText.short(value))")
        }
        let result = value.objectValue ?? [:]
        answers[id] = .result(result)
        guard method == "console.open", let stream = result["stream"]?.intValue else { return }
        if streams[stream] != nil { violate("9", "the stream id \(stream) a second time") }
        guard let offset = result["offset"]?.intValue, offset >= 0 else {
            return violate("9", "a console without the offset of its first byte: \(WireText.short(result))")
        }
        streams[stream] = WireStream(start: UInt64(offset))
    }

    private mutating func event(_ message: JSONObject) {
        let due = Int64(events.count + 1)
        events.append(message)
        eventTimes.append(.now)
        if message["seq"]?.intValue != due {
            violate("8", "an event with the seq \(WireText.short(message["seq"] ?? .null)) where \(due) was due")
        }
        let types: Set = [
            "started", "stopped", "paused", "resumed", "saved", "rebooted", "crashed", "migrated-in", "migrated-out",
            "removed",
        ]
        let type = message["type"]?.stringValue ?? ""
        if !types.contains(type) { violate("8", "an event of the type \(type.debugDescription)") }
        if !methods.values.contains("events.subscribe") { violate("8", "an event before events.subscribe") }
        let reasons: Set = ["requested", "guest", "crashed", "host", "migrated"]
        if type == "stopped", !reasons.contains(message["reason"]?.stringValue ?? "") {
            violate("8", "'stopped' for the reason \(WireText.short(message["reason"] ?? .null))")
        }
        if message["uuid"]?.stringValue == nil { violate("8", "an event without a uuid") }
    }

    private mutating func change(_ id: Int64, _ what: String, _ body: (inout WireStream) -> String?) {
        guard var stream = streams[id] else {
            return violate("9", "\(what) for the stream \(id), which was not opened")
        }
        if let wrong = body(&stream) { violate("9", "stream \(id): \(wrong)") }
        streams[id] = stream
    }
}
