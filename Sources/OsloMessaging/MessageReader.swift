import AMQPModel
import JSONCodec
import Support

/// From a body and its properties to the inner message: content type, compression, size, envelope
/// (oslo.messaging wire, sections 3 and 4).
struct MessageReader: Sendable {
    /// Bounds for the body, compressed or not, and for the inner document.
    var limits: JSONLimits
    /// What reads the documents.
    var parser = JSONParser.jansson

    /// What was found.
    enum Content {
        /// An empty body, which counts as an empty message.
        case empty
        /// The inner document in an envelope, not yet parsed.
        case document([UInt8])
        /// An object that is itself the message.
        case object(JSONObject)
    }

    func content(of body: [UInt8], _ properties: MessageProperties) throws(MessageRejection) -> Content {
        guard body.count <= limits.maximumBytes else {
            throw MessageRejection(.tooLarge, "more than \(limits.maximumBytes) bytes", body: body)
        }
        guard properties.contentType == OsloProperties.contentType else {
            let type = properties.contentType.map { "\(String($0.prefix(64)).debugDescription)" } ?? "none"
            throw MessageRejection(.contentType, "content type is \(type)", body: body)
        }
        if let compression = properties.headers?["compression"] {
            return try self.content(inflated(body, compression), original: body)
        }
        return try content(body, original: body)
    }

    private func content(_ bytes: [UInt8], original: [UInt8]) throws(MessageRejection) -> Content {
        if bytes.isEmpty { return .empty }
        if let inner = EnvelopeScan.inner(bytes.span) { return .document(inner) }
        let value: JSONValue
        do {
            value = try JSONReader.read(bytes, limits: limits, parser: parser)
        } catch {
            throw MessageRejection(error, body: original)
        }
        guard case .object(let object) = value else {
            throw MessageRejection(.notAnObject, "the body is \(value.typeName)", body: original)
        }
        guard let version = object[Envelope.versionKey], let message = object[Envelope.messageKey] else {
            return .object(object)
        }
        guard case .string(let versionText) = version,
            VersionRules.compatible(implemented: Envelope.version, requested: versionText)
        else {
            throw MessageRejection(.envelope, "an envelope of another version than 2.0", body: original)
        }
        guard case .string(let text) = message else {
            throw MessageRejection(.envelope, "oslo.message is \(message.typeName) instead of text", body: original)
        }
        return .document(Array(text.utf8))
    }

    private func inflated(_ body: [UInt8], _ compression: FieldValue) throws(MessageRejection) -> [UInt8] {
        guard case .string("application/x-gzip") = compression else {
            let name = if case .string(let name) = compression { String(name.prefix(64)) } else { "no text" }
            throw MessageRejection(.compression, "compression \(name.debugDescription) is not read", body: body)
        }
        switch ZlibInflate.inflate(body.span, limit: limits.maximumBytes) {
        case .success(let bytes): return bytes
        case .failure(.corrupt): throw MessageRejection(.compression, "the data is not a zlib stream", body: body)
        case .failure(.tooLarge):
            throw MessageRejection(.tooLarge, "more than \(limits.maximumBytes) bytes after decompression", body: body)
        }
    }
}
