internal import FoundationEssentials
internal import Varlink

/// `FollowChannel`: what is said in a channel, as it is said. Needs `more`, and ends when the caller goes away.
package enum FollowChannel {
    /// The method's name in its interface.
    package static let name = "FollowChannel"

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case channel }

        /// The channel's name.
        package let channel: String

        /// Which channel to follow.
        package init(channel: String) { self.channel = channel }
    }

    /// What it returns each time; in the first reply, which says that it has begun, there is no message.
    package struct Reply: Codable, Sendable, Hashable {
        /// A text message.
        package let message: String?
        /// A binary message, in Base64.
        package let data: String?
        /// Messages so far that came too fast and were left out.
        package let lost: Int

        /// The first reply.
        package init() {
            message = nil
            data = nil
            lost = 0
        }

        /// A message.
        package init(_ message: BroadcastMessage, lost: Int) {
            self.message = message.isBinary ? nil : String(decoding: message.payload, as: UTF8.self)
            data = message.isBinary ? Data(message.payload).base64EncodedString() : nil
            self.lost = lost
        }
    }
}
