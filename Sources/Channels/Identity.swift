package import Base
package import Settings

/// The permissions of a token's bearer in the channels that match a pattern.
package struct Grant: Hashable, Sendable {
    package var pattern: ChannelPattern
    package var subscribe: Bool
    package var publish: Bool

    package init(pattern: ChannelPattern, subscribe: Bool, publish: Bool) {
        self.pattern = pattern
        self.subscribe = subscribe
        self.publish = publish
    }
}

/// The user of a connection and its permissions.
package struct Identity: Sendable {
    /// The token's subject; nil if there is no user.
    package var user: String?
    package var grants: [Grant] = []
    /// The time at which the token expires, in milliseconds since 1970; nil: never.
    package var expiresAt: Int64?

    package init(user: String? = nil, grants: [Grant] = [], expiresAt: Int64? = nil) {
        self.user = user
        self.grants = grants
        self.expiresAt = expiresAt
    }

    package func mayPublish(to channel: String, _ settings: ChannelSettings) -> Bool {
        allows(settings.publish) { $0.publish && $0.pattern.matches(channel) }
    }

    package func maySubscribe(to channel: String, _ settings: ChannelSettings) -> Bool {
        allows(settings.subscribe) { $0.subscribe && $0.pattern.matches(channel) }
    }

    private func allows(_ access: Access, _ isGranted: (Grant) -> Bool) -> Bool {
        switch access {
        case .anyone: true
        case .users: user != nil
        case .granted: grants.contains(where: isGranted)
        case .nobody: false
        }
    }
}

// MARK: State

extension Identity {
    package func write(to state: inout StateWriter) {
        state.write(user)
        state.write(count: grants.count)
        for grant in grants {
            state.write(grant.pattern.text)
            state.write(grant.subscribe)
            state.write(grant.publish)
        }
        state.write(expiresAt != nil)
        // A token may be valid for longer than times are written.
        if let expiresAt { state.write(UInt64(clamping: expiresAt)) }
    }

    package init(from state: inout StateReader) throws(StateError) {
        self.init(user: try state.optionalText())
        let count = try state.elementCount(ofAtLeast: 3)
        grants.reserveCapacity(count)
        for _ in 0..<count {
            let pattern = ChannelPattern(try state.text())
            grants.append(Grant(pattern: pattern, subscribe: try state.flag(), publish: try state.flag()))
        }
        if try state.flag() { expiresAt = Int64(try state.count(atMost: .max)) }
    }
}
