/// A request of a `json` client. Its parts are ranges of the frame's bytes; nothing is copied or decoded.
package struct Request {
    package enum Kind: String, CaseIterable, Sendable {
        case chat, join, leave, presence, history, refresh, ping
    }

    /// A message's position in a channel.
    package struct Position {
        package var epoch: JSONString
        package var seq: UInt64
    }

    /// The maximum length of a token in bytes; a handshake has room for no more by default.
    static let maximumTokenByteCount = 16 * 1024

    package var kind: Kind
    /// The id as it was sent, including the quotes of a string.
    package var id: Range<Int>?
    /// The channel; nil: the channel of the endpoint.
    package var channel: JSONString?
    /// Any JSON value; never nil for `chat`.
    package var data: Range<Int>?
    package var since: Position?
    package var limit: Int?
    package var before: UInt64?
    /// The new token; never nil for `refresh`.
    package var token: JSONString?
}

/// The error of a request that is malformed or not granted.
package struct RequestError: Error {
    /// The machine-readable code.
    package enum Code: String, Sendable {
        case badJSON = "bad_json"
        case badMessage = "bad_message"
        case unknownType = "unknown_type"
        case unsupported
        case badChannel = "bad_channel"
        case notJoined = "not_joined"
        case notPermitted = "not_permitted"
        case full
        case limit
        case unavailable
        case badToken = "bad_token"
        case `internal`
    }

    package var code: Code
    /// The problem and how to fix it, for the client's developer.
    package var message: String
    package var id: Range<Int>?
    package var channel: JSONString?
}
