import CJansson
import Support

/// jansson's parser; its tree never leaves the function that made it.
///
/// Pointers: every `json_t` reached here lives in the arena of the call that made it; bytes of strings and keys are
/// copied before that call ends. Trees are not released node by node: ``JanssonArena`` takes the memory back.
enum JanssonReader {
    /// Seeds jansson's hashing once, so that no two threads do it at the same time.
    private static let seeded: Void = json_object_seed(0)

    private typealias Node = UnsafeMutablePointer<json_t>

    /// A whole document.
    static func read(_ bytes: Span<UInt8>, limits: JSONLimits) throws(JSONError) -> JSONValue {
        try JanssonArena.with { () throws(JSONError) in
            try value(load(bytes, flags: 0).root, room: limits.maximumDepth)
        }
    }

    /// The value that begins with the first byte, whatever follows it.
    ///
    /// - Parameter room: how many arrays and objects may be nested in it.
    /// - Returns: also how many bytes it takes.
    static func first(of bytes: Span<UInt8>, room: Int) throws(JSONError) -> (value: JSONValue, length: Int) {
        try JanssonArena.with { () throws(JSONError) in
            let (root, length) = try load(bytes, flags: JSON_DISABLE_EOF_CHECK)
            return (try value(root, room: room), length)
        }
    }

    /// Hands out the members of a document that is an object.
    static func forEachMember(
        of bytes: Span<UInt8>,
        limits: JSONLimits,
        _ body: (Span<UInt8>, JSONValue) -> Void
    ) throws(JSONError) -> Bool {
        try JanssonArena.with { () throws(JSONError) in
            let root = try load(bytes, flags: 0).root
            guard root.pointee.type == JSON_OBJECT else { return false }
            guard limits.maximumDepth > 0 else { throw tooDeep }
            var iterator = json_object_iter(root)
            while let position = iterator {
                guard let key = json_object_iter_key(position), let member = json_object_iter_value(position) else {
                    break
                }
                let raw = UnsafeRawBufferPointer(start: key, count: json_object_iter_key_len(position))
                body(raw.bindMemory(to: UInt8.self).span, try value(member, room: limits.maximumDepth - 1))
                iterator = json_object_iter_next(root, position)
            }
            return true
        }
    }

    private static let tooDeep = JSONError(.tooDeep, at: 0, "too many nested arrays and objects")

    private static func load(_ bytes: Span<UInt8>, flags: Int32) throws(JSONError) -> (root: Node, length: Int) {
        _ = seeded
        var error = json_error_t()
        let root = bytes.withUnsafeBytes { buffer in
            json_loadb(
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                buffer.count,
                Int(JSON_ALLOW_NUL | JSON_DECODE_ANY | flags),
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
        return (root, Int(error.position))
    }

    private static func value(_ node: Node, room: Int) throws(JSONError) -> JSONValue {
        switch node.pointee.type {
        case JSON_STRING:
            return .string(string(json_string_value(node), json_string_length(node)).text)
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

    private static func object(_ node: Node, room: Int) throws(JSONError) -> JSONObject {
        var object = JSONObject(minimumCapacity: json_object_size(node))
        var iterator = json_object_iter(node)
        while let position = iterator {
            guard let key = json_object_iter_key(position), let member = json_object_iter_value(position) else { break }
            let (name, isASCII) = string(key, json_object_iter_key_len(position))
            let content = try value(member, room: room)
            // jansson's keys differ in bytes; Swift's may still be equal when they are not ASCII.
            if isASCII { object.append(name, content) } else { object[name] = content }
            iterator = json_object_iter_next(node, position)
        }
        return object
    }

    /// jansson has checked that the bytes are UTF-8.
    @inline(__always)
    private static func string(_ start: UnsafePointer<CChar>?, _ count: Int) -> (text: String, isASCII: Bool) {
        let bytes = UnsafeRawBufferPointer(start: start, count: count).bindMemory(to: UInt8.self).span
        let isASCII = ByteScan.isASCII(bytes)
        return (String(copying: UTF8Span(unchecked: bytes, isKnownASCII: isASCII)), isASCII)
    }
}
