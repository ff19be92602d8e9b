package import JSONCodec
import Support

extension RPCRequest {
    /// The message's body, byte for byte what Python writes for the same values.
    ///
    /// - Throws: when an argument or the context holds a number without a JSON form, or is nested too deeply.
    package func encode() throws(JSONError) -> [UInt8] {
        var writer = JSONWriter(capacity: 1024)
        try writer.envelope { writer throws(JSONError) in
            writer.member("method", string: method)
            try writer.member("args", .object(args))
            if let namespace { writer.member("namespace", string: namespace) }
            if let version { writer.member("version", string: version) }
            if let reply {
                writer.member("_msg_id", string: reply.messageID)
                writer.member("_reply_q", string: reply.queue)
                try writer.member("_timeout", timeoutValue)
            }
            if let uniqueID { writer.member("_unique_id", string: uniqueID) }
            for member in context { try writer.member(WireKey.contextPrefix + member.key, member.value) }
        }
        return writer.bytes
    }
}

extension JSONWriter {
    /// Writes an envelope around the object whose members `body` writes (oslo.messaging wire, section 4).
    mutating func envelope<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        beginObject()
        member("oslo.version", string: Envelope.version)
        key("oslo.message")
        try string { writer throws(Failure) in
            writer.beginObject()
            try body(&writer)
            writer.endObject()
        }
        endObject()
    }
}
