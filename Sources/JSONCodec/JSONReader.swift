package import Support

/// Which parser reads documents.
package enum JSONParser: String, Sendable, Hashable, CaseIterable {
    /// jansson, and ours for what it refuses.
    case jansson
    /// Ours alone, which reads the same at a fraction of the cost.
    case native
}

/// Reads JSON documents into values, with everything that Python's `json` reads.
///
/// jansson reads first, unless the other parser is asked for. What it refuses but Python peers send (non-finite
/// numbers, integers of any size, lone surrogates, NUL in keys; oslo.messaging wire, section 16) is read by
/// ``PythonParser``, which also words the error when the document is beyond both. Runs on any thread, keeps nothing.
package enum JSONReader {
    /// Reads a whole document; the top level may be any value.
    package static func read(
        _ bytes: [UInt8],
        limits: JSONLimits = JSONLimits(),
        parser: JSONParser = .jansson
    ) throws(JSONError) -> JSONValue {
        try read(bytes.span, limits: limits, parser: parser)
    }

    /// The same from memory that belongs to somebody else; nothing of it is kept.
    package static func read(
        _ bytes: UnsafeRawBufferPointer,
        limits: JSONLimits = JSONLimits(),
        parser: JSONParser = .jansson
    ) throws(JSONError) -> JSONValue {
        try read(bytes.bindMemory(to: UInt8.self).span, limits: limits, parser: parser)
    }

    /// The same from a span.
    package static func read(
        _ bytes: Span<UInt8>,
        limits: JSONLimits = JSONLimits(),
        parser: JSONParser = .jansson
    ) throws(JSONError) -> JSONValue {
        try check(bytes, limits)
        var parserCode: Int?
        if parser == .jansson {
            do {
                return try JanssonReader.read(bytes, limits: limits)
            } catch {
                parserCode = try error.codeUnlessFinal()
            }
        }
        return try python(bytes, limits, parserCode)
    }

    /// Reads a document and hands out the members of its top-level object, without building that object.
    ///
    /// Keys come as bytes so that the caller makes strings only of those it keeps. A repeated key may come again: the
    /// last one counts.
    /// - Returns: false when the document is not an object; nothing was handed out then.
    /// - Throws: also after some members were handed out: what came before an error does not count.
    package static func forEachMember(
        of bytes: Span<UInt8>,
        limits: JSONLimits = JSONLimits(),
        parser: JSONParser = .jansson,
        _ body: (Span<UInt8>, JSONValue) -> Void
    ) throws(JSONError) -> Bool {
        try check(bytes, limits)
        var parserCode: Int?
        if parser == .jansson {
            if MessageScan.forEachMember(of: bytes, limits: limits, body) { return true }
            do {
                return try JanssonReader.forEachMember(of: bytes, limits: limits, body)
            } catch {
                parserCode = try error.codeUnlessFinal()
            }
        }
        do {
            return try PythonParser.forEachMember(of: bytes, limits: limits, body)
        } catch {
            throw JSONError(error.code, at: error.position, error.message, parserCode: parserCode)
        }
    }

    private static func check(_ bytes: Span<UInt8>, _ limits: JSONLimits) throws(JSONError) {
        guard bytes.count <= limits.maximumBytes else {
            throw JSONError(
                .tooLarge,
                at: limits.maximumBytes,
                "\(bytes.count) bytes where at most \(limits.maximumBytes) are read"
            )
        }
    }

    private static func python(
        _ bytes: Span<UInt8>,
        _ limits: JSONLimits,
        _ parserCode: Int?
    ) throws(JSONError) -> JSONValue {
        do {
            return try PythonParser.parse(bytes, limits: limits)
        } catch {
            throw JSONError(error.code, at: error.position, error.message, parserCode: parserCode)
        }
    }
}

extension JSONError {
    /// jansson's number when ours should have a try; a breach of limits is final.
    fileprivate func codeUnlessFinal() throws(JSONError) -> Int? {
        guard code == .syntax else { throw self }
        return parserCode
    }
}
