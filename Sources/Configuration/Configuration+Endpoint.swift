extension Configuration {
    /// One `[[endpoint]]`: a path that clients connect to.
    package struct Endpoint: Sendable, Equatable {
        /// The path of the request, compared byte for byte, without the query.
        package var path: String
        /// What the messages of its clients mean.
        package var `protocol` = EndpointProtocol.relay
        /// The channel that its clients are in from the start, `ChannelName.isValid`; empty for none, where they can join.
        package var channel = "lobby"

        /// An endpoint with the defaults of wsd.toml(5) for what is not given.
        package init(path: String, protocol: EndpointProtocol = .relay, channel: String = "lobby") {
            self.path = path
            self.protocol = `protocol`
            self.channel = channel
        }
    }

    /// What the messages of an endpoint's clients mean.
    package enum EndpointProtocol: String, Sendable, CaseIterable {
        /// Every message goes, as it came, to everyone in the channel, the sender too.
        case relay
        /// Each message is a request; wsd-protocol(7).
        case json
    }
}
