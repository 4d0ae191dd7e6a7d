extension Configuration {
    /// One `[[endpoint]]`: a path that clients connect to.
    package struct Endpoint: Sendable, Equatable {
        /// The path of the request, compared byte for byte, without the query.
        package var path: String
        /// The protocol of its clients.
        package var `protocol` = EndpointProtocol.relay
        /// The channel that its clients are in from the start, valid by `ChannelName.isValid`; or empty for none, if
        /// the protocol lets clients join channels.
        package var channel = "lobby"

        /// An endpoint, with the defaults of wsd.toml(5) for everything that is not given.
        package init(path: String, protocol: EndpointProtocol = .relay, channel: String = "lobby") {
            self.path = path
            self.protocol = `protocol`
            self.channel = channel
        }
    }

    /// The protocol of an endpoint's clients.
    package enum EndpointProtocol: String, Sendable, CaseIterable {
        /// Every message goes unchanged to everyone in the channel, the sender included.
        case relay
        /// Each message is a request; see wsd-protocol(7).
        case json
    }
}
