extension ControlInterface {
    /// The part that identifies clients: connections, channels, their users and messages. No parentheses in comments
    /// inside a method, as in ``figures``.
    static let people = """
        # Whether a connection still carries messages: closing while the closing handshake is under way.
        type ConnectionState (open, closing)

        # One connection at one moment.
        type Connection (
            # Names the connection as long as this daemon lives; opaque.
            id: string,
            # The peer's IP address, after trusted proxies.
            address: string,
            # The peer's TCP port.
            port: int,
            # The endpoint's path, such as /ws.
            endpoint: string,
            # The endpoint's protocol, such as relay.
            protocol: string,
            # The channels it is subscribed to.
            channels: []string,
            # Whether permessage-deflate was agreed on.
            compression: bool,
            # Whom it authenticated as.
            user: ?string,
            # What the client calls itself. Whatever the client sent: never show it without escaping.
            userAgent: ?string,
            # The version and the cipher of TLS, such as TLS 1.3, AES-128-GCM; absent without TLS.
            tls: ?string,
            # The subject of the certificate that the client has shown.
            certificateSubject: ?string,
            # The names in that certificate: hosts, addresses of mail, URIs.
            certificateNames: ?[]string,
            # When the opening handshake was done: RFC 3339, UTC, milliseconds.
            connectedSince: string,
            # Seconds since the last frame came from the peer.
            idleSeconds: float,
            # Messages the peer sent.
            messagesIn: int,
            # Messages sent to the peer.
            messagesOut: int,
            # Bytes the peer sent.
            bytesIn: int,
            # Bytes sent to the peer.
            bytesOut: int,
            # Bytes that wait for the peer to read.
            queuedBytes: int,
            # Messages that wait for the peer to read.
            queuedMessages: ?int,
            # Messages it never got, because it reads too slowly.
            droppedMessages: int,
            # Whether it still carries messages.
            state: ConnectionState,
            # The name of its node, in an answer of all nodes.
            node: ?string
        )

        # Which connections are meant. Everything given must hold; what is absent doesn't matter.
        type ConnectionFilter (
            # One of these.
            ids: ?[]string,
            # From this address or this network, such as 192.0.2.7 or 2001:db8::/32.
            ip: ?string,
            # On the endpoint of this path.
            endpoint: ?string,
            # Subscribed to this channel.
            channel: ?string,
            # Authenticated as this user.
            user: ?string,
            # Every connection. Excludes the others.
            all: ?bool
        )

        # The connections that a filter selects, or all of them.
        #
        # Called with more, it answers in pages of at most 256 until the list is at its end. Called without, it answers
        # once, and next says where to go on if there are others.
        method List(
            # Which connections; absent means all.
            filter: ?ConnectionFilter,
            # Go on from here: what next said.
            after: ?string,
            # The most connections to list: 1 to 1000 and 1000 if absent, but with more any number, and no limit if
            # absent.
            limit: ?int,
            # Whether on all nodes that share the broker; absent means on this one.
            cluster: ?bool
        ) -> (
            # The connections, each at most once in a listing.
            connections: []Connection,
            # Where the list goes on; absent at its end.
            next: ?string,
            # The names of the nodes that did not answer; absent where no other node was asked.
            silent: ?[]string
        )

        # One connection.
        method Show(
            # The connection's id, as List gives it.
            id: string,
            # Whether on all nodes that share the broker; absent means on this one.
            cluster: ?bool
        ) -> (
            connection: Connection,
            # The names of the nodes that did not answer; absent where no other node was asked.
            silent: ?[]string
        )

        # A channel with how many connections are in it.
        type Channel (name: string, connections: int)

        # One who is in a channel.
        type ChannelUser (
            user: string,
            # How many connections of theirs are in the channel.
            connections: int,
            # Since when: RFC 3339, UTC, milliseconds.
            since: string
        )

        # One channel at one moment.
        type ChannelDetail (
            name: string,
            # Which numbering the numbers are of; absent where nothing has been numbered.
            epoch: ?string,
            # The number of the newest message.
            seq: int,
            # Who is there; absent where the channel has no presence.
            users: ?[]ChannelUser,
            # What was said, the oldest first, as clients of json got it; absent where nothing is kept.
            messages: ?[]object,
            # Whether there are older messages.
            more: bool
        )

        # The channels that somebody is in or of which something is kept, by name.
        method ListChannels(
            # Only those of this pattern, in which an asterisk is any run of characters.
            pattern: ?string,
            # Only those behind this name: what next said.
            after: ?string,
            # At most so many: 1 to 1000, and 1000 if absent.
            limit: ?int,
            # Whether with the connections of all nodes that share the broker; absent means of this one.
            cluster: ?bool
        ) -> (
            channels: []Channel,
            # Where the list goes on; absent at its end.
            next: ?string,
            # The names of the nodes that did not answer; absent where no other node was asked.
            silent: ?[]string
        )

        # Who is in a channel, and what was said there.
        method ShowChannel(
            channel: string,
            # Only messages with a smaller number; absent means the newest.
            before: ?int,
            # At most so many messages, up to 1000; absent means none.
            limit: ?int
        ) -> (channel: ChannelDetail)

        # Nobody is in the channel, and nothing is kept of it.
        error NoSuchChannel (channel: string)

        # No connection has this id: it never existed, or is gone.
        error NoSuchConnection (
            id: string,
            # The names of the nodes that did not answer, where all were asked; it may be on one of them.
            silent: ?[]string
        )

        # Part of a filter can't be understood.
        error InvalidFilter (
            # The part of the filter.
            field: string,
            # What it was.
            value: string,
            # What is wrong with it.
            reason: string
        )
        """
}
