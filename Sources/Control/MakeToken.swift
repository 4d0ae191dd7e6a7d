import Varlink

/// `MakeToken`: makes a JSON Web Token for development.
package enum MakeToken {
    /// The method's name in its interface.
    package static let name = "MakeToken"
    /// The default lifetime of a token in seconds.
    package static let defaultLifetime = 3600
    /// The longest lifetime: a hundred years, which is as good as for ever.
    package static let longestLifetime = 3_155_760_000

    /// The permissions that a token grants in the channels of a pattern.
    package struct Grant: Codable, Sendable, Hashable {
        /// The pattern of channel names, in which `*` stands for any run of characters.
        package let pattern: String
        /// Whether the bearer may join these channels.
        package let subscribe: Bool
        /// Whether the bearer may publish in these channels.
        package let publish: Bool

        /// A grant of a pattern.
        package init(pattern: String, subscribe: Bool, publish: Bool) {
            self.pattern = pattern
            self.subscribe = subscribe
            self.publish = publish
        }

        /// Parses the form of the command line, "PATTERN=subscribe,publish"; nil for anything else.
        package init?(parsing text: String) {
            guard let separator = text.lastIndex(of: "="), separator > text.startIndex else { return nil }
            let permissions = Set(
                text[text.index(after: separator)...].split(separator: ",", omittingEmptySubsequences: false))
            guard permissions.isSubset(of: ["subscribe", "publish"]) else { return nil }
            self.init(
                pattern: String(text[..<separator]), subscribe: permissions.contains("subscribe"),
                publish: permissions.contains("publish"))
        }
    }

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case user, lifetime, grants }

        /// The token's user.
        package let user: String
        /// Seconds until the token expires; nil means ``MakeToken/defaultLifetime``.
        package let lifetime: Int?
        /// The channels that the token grants.
        package let grants: [Grant]?

        /// The token to make.
        package init(user: String, lifetime: Int? = nil, grants: [Grant]? = nil) {
            self.user = user
            self.lifetime = lifetime
            self.grants = grants
        }
    }

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// The token.
        package let token: String

        /// A token as it is returned.
        package init(token: String) { self.token = token }
    }
}
