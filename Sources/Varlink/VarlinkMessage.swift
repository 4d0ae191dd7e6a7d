package import FoundationEssentials

/// Encodes calls and replies as messages: one JSON object and a NUL.
package enum VarlinkMessage {
    /// A call of `method`. Flags that are false are left out, as every client does.
    package static func call(
        _ method: String,
        _ parameters: some Encodable,
        more: Bool = false,
        oneway: Bool = false,
        client: ClientClaim? = nil
    ) throws -> Data {
        try terminated(
            CallBody(
                method: method, parameters: parameters, more: more ? true : nil, oneway: oneway ? true : nil,
                client: client)
        )
    }

    /// A reply; `continues` says that further replies to the same call follow.
    package static func reply(_ parameters: some Encodable, continues: Bool = false) throws -> Data {
        try terminated(ReplyBody(parameters: parameters, continues: continues ? true : nil))
    }

    /// The reply to a call that failed.
    package static func reply(_ error: VarlinkError) throws -> Data {
        try terminated(ErrorBody(error: error.name, parameters: error.parameters))
    }

    private static func terminated(_ body: some Encodable) throws -> Data {
        var message = try VarlinkJSON.encode(body)
        message.append(0)
        return message
    }

    private struct CallBody<Parameters: Encodable>: Encodable {
        let method: String
        let parameters: Parameters
        let more: Bool?
        let oneway: Bool?
        let client: ClientClaim?

        enum CodingKeys: String, CodingKey {
            case method, parameters, more, oneway
            case client = "io.wsd.client"
        }
    }

    private struct ReplyBody<Parameters: Encodable>: Encodable {
        let parameters: Parameters
        let continues: Bool?
    }

    private struct ErrorBody: Encodable {
        let error: String
        let parameters: [String: VarlinkValue]
    }
}
