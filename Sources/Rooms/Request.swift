/// What a `json` client asks for, its parts as places in the frame's bytes; nothing is copied or decoded.
package struct Request {
    package enum Kind: String, CaseIterable, Sendable {
        case chat, join, leave, presence, history, refresh, ping
    }

    /// A message's place in a channel.
    package struct Position {
        package var epoch: JSONString
        package var seq: UInt64
    }

    /// The most bytes of a token; a handshake has room for no more by default.
    static let maximumTokenByteCount = 16 * 1024

    /// The most bytes of a channel's name.
    static let maximumChannelByteCount = 255

    package var kind: Kind
    /// As it came, the quotes of a string included.
    package var id: Range<Int>?
    /// nil: the endpoint's own.
    package var channel: JSONString?
    /// Any JSON value; there for `chat`.
    package var data: Range<Int>?
    package var since: Position?
    package var limit: Int?
    package var before: UInt64?
    /// There for `refresh`.
    package var token: JSONString?
}

/// Why a request is not understood or not granted.
package struct RequestError: Error {
    /// What a client's program goes by.
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
    /// What was wrong and the way out, for the client's developer.
    package var message: String
    package var id: Range<Int>?
    package var channel: JSONString?
}
