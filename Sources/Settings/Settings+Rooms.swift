extension Settings {
    /// One `[[endpoint]]`: a path that clients connect to.
    package struct Endpoint: Sendable, Equatable {
        /// The path of the request, compared byte for byte, without the query.
        package var path: String
        /// The protocol of its clients.
        package var `protocol` = ClientProtocol.relay
        /// The channel that its clients are in from the start, valid by `ChannelName.isValid`; or empty for none, if
        /// the protocol lets clients join channels.
        package var channel = "lobby"

        /// An endpoint, with the defaults of wsd.toml(5) for everything that is not given.
        package init(path: String, protocol: ClientProtocol = .relay, channel: String = "lobby") {
            self.path = path
            self.protocol = `protocol`
            self.channel = channel
        }
    }
}

extension Settings {
    /// One `[channels."PATTERN"]`: the settings of the channels that match its pattern and no earlier one.
    package struct Channel: Sendable, Equatable {
        /// The pattern of names; `*` stands for any run of characters.
        package var pattern: String
        /// The settings of such a channel.
        package var settings = ChannelSettings()

        /// The default settings of wsd.toml(5).
        package init(pattern: String) { self.pattern = pattern }
    }
}

/// The protocol of an endpoint's clients. The engine says in what they differ.
package enum ClientProtocol: Sendable, CaseIterable {
    /// Every message goes unchanged to everyone in the channel, including the sender.
    case relay
    /// Each message is a request; see wsd-protocol(7).
    case json

    /// The name in the configuration.
    package var name: String {
        switch self {
        case .relay: "relay"
        case .json: "json"
        }
    }
}
