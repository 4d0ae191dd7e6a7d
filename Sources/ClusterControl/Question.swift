internal import Control
internal import Operations
internal import Varlink

/// What nodes ask each other, besides the methods whose parameters are those of `io.wsd.Control`: `List`, `Why` and
/// `ListChannels`.
enum Question {
    /// The method that closes connections; answered with a `Kick.Reply`.
    struct KickParameters: VarlinkParameters {
        enum CodingKeys: String, CodingKey, CaseIterable { case filter, code, reason, caller }

        let filter: ConnectionFilter
        let code: Int
        let reason: String
        let caller: CallerFields
    }

    /// The method that takes connections out of a channel; answered with a `Kick.Reply`.
    struct UnsubscribeParameters: VarlinkParameters {
        static let method = "Unsubscribe"

        enum CodingKeys: String, CodingKey, CaseIterable { case filter, channel, reason, caller }

        let filter: ConnectionFilter
        let channel: String
        let reason: String
        let caller: CallerFields
    }

    /// The method that sends a message to connections; answered with a `PublishResult`.
    struct BroadcastParameters: VarlinkParameters {
        enum CodingKeys: String, CodingKey, CaseIterable { case message, data, isPlainText, channel, user, caller }

        /// A text message; either this or ``data`` is given.
        let message: String?
        /// A binary message, in Base64.
        let data: String?
        /// Whether clients of the `json` protocol get it as a string even if it looks like another JSON value.
        let isPlainText: Bool
        let channel: String?
        let user: String?
        let caller: CallerFields
    }

    /// The method that shows a connection.
    typealias ShowParameters = Show.Parameters

    /// The answer to it.
    struct ShowReply: Codable, Sendable {
        /// The connection; nil if the node has none with the id.
        let connection: ConnectionRow?
    }

    /// The method that measures a node.
    enum Figures {
        static let method = "GetFigures"
    }
}

/// The caller that a node asks for, as fields of the log.
///
/// The values are what another node says, so their number and sizes are limited.
struct CallerFields: Codable, Sendable {
    private static let maximumCount = 8
    private static let maximumByteCount = 256

    let fields: [String: String]

    init(_ fields: [String: String]) { self.fields = fields }

    init(from decoder: any Decoder) throws {
        let fields = try [String: String](from: decoder)
        guard fields.count <= Self.maximumCount,
            fields.allSatisfy({ $0.utf8.count <= Self.maximumByteCount && $1.utf8.count <= Self.maximumByteCount })
        else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "too much"))
        }
        self.fields = fields
    }

    func encode(to encoder: any Encoder) throws { try fields.encode(to: encoder) }
}
