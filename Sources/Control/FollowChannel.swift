internal import FoundationEssentials
internal import Varlink

/// `FollowChannel`: returns the messages of a channel as they are published. Needs `more`, and ends when the caller
/// closes its connection.
package enum FollowChannel {
    /// The method's name in its interface.
    package static let name = "FollowChannel"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case channel }

        /// The channel's name.
        package let channel: String

        /// The channel to follow.
        package init(channel: String) { self.channel = channel }
    }

    /// Each of the method's replies. The first, which says that following has begun, has no message.
    package struct Reply: Codable, Sendable, Hashable {
        /// A text message.
        package let message: String?
        /// A binary message, in Base64.
        package let data: String?
        /// The number of messages so far that came too fast and were left out.
        package let lost: Int

        /// The first reply.
        package init() {
            message = nil
            data = nil
            lost = 0
        }

        /// A reply with a message.
        package init(_ message: BroadcastMessage, lost: Int) {
            self.message = message.isBinary ? nil : String(decoding: message.payload, as: UTF8.self)
            data = message.isBinary ? Data(message.payload).base64EncodedString() : nil
            self.lost = lost
        }
    }
}
