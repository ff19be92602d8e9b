import CJansson
import Support

/// jansson's parser; its tree never leaves the function that made it.
///
/// Pointers: every `json_t` reached here is owned by the root, which lives until the end of `withRoot`; bytes of
/// strings and keys are copied before that.
enum JanssonReader {
    /// Seeds jansson's hashing once, so that no two threads do it at the same time.
    private static let seeded: Void = json_object_seed(0)

    static func read(_ bytes: Span<UInt8>, limits: JSONLimits) throws(JSONError) -> JSONValue {
        let root = try load(bytes)
        defer { json_decref(root) }
        return try value(root, room: limits.maximumDepth)
    }

    static func forEachMember(
        of bytes: Span<UInt8>,
        limits: JSONLimits,
        _ body: (Span<UInt8>, JSONValue) -> Void
    ) throws(JSONError) -> Bool {
        let root = try load(bytes)
        defer { json_decref(root) }
        guard root.pointee.type == JSON_OBJECT else { return false }
        guard limits.maximumDepth > 0 else { throw tooDeep }
        var iterator = json_object_iter(root)
        while let position = iterator {
            guard let key = json_object_iter_key(position), let member = json_object_iter_value(position) else { break }
            let raw = UnsafeRawBufferPointer(start: key, count: json_object_iter_key_len(position))
            body(raw.bindMemory(to: UInt8.self).span, try value(member, room: limits.maximumDepth - 1))
            iterator = json_object_iter_next(root, position)
        }
        return true
    }

    private static let tooDeep = JSONError(.tooDeep, at: 0, "too many nested arrays and objects")

    private static func load(_ bytes: Span<UInt8>) throws(JSONError) -> UnsafeMutablePointer<json_t> {
        _ = seeded
        var error = json_error_t()
        let root = bytes.withUnsafeBytes { buffer in
            json_loadb(
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                buffer.count,
                Int(JSON_ALLOW_NUL | JSON_DECODE_ANY),
                &error
            )
        }
        guard let root else {
            // The last byte of the text is the code, as jansson's json_error_code() has it. The text itself quotes
            // the document and is left alone.
            throw JSONError(
                .syntax,
                at: Int(error.position),
                "refused by jansson",
                parserCode: Int(error.text.159)
            )
        }
        return root
    }

    private static func value(_ node: UnsafeMutablePointer<json_t>, room: Int) throws(JSONError) -> JSONValue {
        switch node.pointee.type {
        case JSON_STRING:
            return .string(string(json_string_value(node), json_string_length(node)))
        case JSON_OBJECT:
            guard room > 0 else { throw tooDeep }
            return .object(try object(node, room: room - 1))
        case JSON_ARRAY:
            guard room > 0 else { throw tooDeep }
            let count = json_array_size(node)
            var elements: [JSONValue] = []
            elements.reserveCapacity(count)
            for index in 0..<count {
                guard let element = json_array_get(node, index) else { break }
                elements.append(try value(element, room: room - 1))
            }
            return .array(elements)
        case JSON_INTEGER: return .int(json_integer_value(node))
        case JSON_REAL: return .double(json_real_value(node))
        case JSON_TRUE: return .bool(true)
        case JSON_FALSE: return .bool(false)
        default: return .null
        }
    }

    private static func object(_ node: UnsafeMutablePointer<json_t>, room: Int) throws(JSONError) -> JSONObject {
        var object = JSONObject(minimumCapacity: json_object_size(node))
        var iterator = json_object_iter(node)
        while let position = iterator {
            guard let key = json_object_iter_key(position), let member = json_object_iter_value(position) else { break }
            let length = json_object_iter_key_len(position)
            let name = string(key, length)
            let content = try value(member, room: room)
            // jansson's keys differ in bytes; Swift's may still be equal when they are not ASCII.
            if isASCII(key, length) { object.append(name, content) } else { object[name] = content }
            iterator = json_object_iter_next(node, position)
        }
        return object
    }

    private static func isASCII(_ start: UnsafePointer<CChar>, _ count: Int) -> Bool {
        for index in 0..<count where start[index] < 0 { return false }
        return true
    }

    private static func string(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
