package import AMQPModel
package import JSONCodec
import Support

/// What a delivered message turned out to be.
package enum DecodedMessage: Sendable {
    /// A call or cast to be dispatched.
    case request(RPCRequest)
    /// A call that nothing can run, whose caller is told so.
    case answerable(AnswerableRequest)
    /// Not to be taken: reject without requeue, count, log.
    case rejected(MessageRejection)
    /// An empty message: acknowledge and forget.
    case ignored
}

/// A malformed call: what is known of it and the failure to send back (oslo.messaging wire, section 5).
package struct AnswerableRequest: Sendable, Hashable {
    package let reply: ReplyAddress
    package let failure: RemoteFailure
    package let method: String?
    package let requestID: String?
    /// For the check for duplicates, as with good requests.
    package let uniqueID: String?
}

/// Reads request messages (oslo.messaging wire, sections 3 to 5), as tolerant as Python's server.
///
/// A value without state: usable from any thread.
package struct RequestDecoder: Sendable {
    private let reader: MessageReader

    /// - Parameters:
    ///   - limits: for the body, compressed or not, and the depth of its documents.
    ///   - parser: what reads the documents.
    package init(limits: JSONLimits = JSONLimits(), parser: JSONParser = .jansson) {
        reader = MessageReader(limits: limits, parser: parser)
    }

    package func decode(body: [UInt8], properties: MessageProperties) -> DecodedMessage {
        do throws(MessageRejection) {
            var fields = RequestFields()
            switch try reader.content(of: body, properties) {
            case .empty:
                return .ignored
            case .object(let object):
                for member in object { fields.take(member.key.utf8.span, member.value) }
            case .document(let inner):
                guard try read(inner, body, into: &fields) else {
                    throw MessageRejection(.notAnObject, "the inner message is not an object", body: body)
                }
            }
            return fields.message(body)
        } catch {
            return .rejected(error)
        }
    }

    private func read(
        _ inner: [UInt8],
        _ body: [UInt8],
        into fields: inout RequestFields
    ) throws(MessageRejection) -> Bool {
        do throws(JSONError) {
            return try JSONReader.forEachMember(of: inner.span, limits: reader.limits, parser: reader.parser) {
                fields.take($0, $1)
            }
        } catch {
            throw MessageRejection(error, body: body)
        }
    }
}
