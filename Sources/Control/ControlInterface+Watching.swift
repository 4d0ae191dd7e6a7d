extension ControlInterface {
    /// The part of ``control`` for watching the hub.
    static let watching = """
        # A channel with how much is said in it.
        type BusyChannel (
            name: string,
            connections: int,
            # Messages published in a second, over the last few.
            messagesPerSecond: float,
            # Messages published since it came to be.
            messages: int
        )

        # The hub at this moment, with the connections that come first in an order and the busiest channels.
        method Top(
            # queuedBytes, droppedMessages, messagesIn, messagesOut, bytesIn, bytesOut or idle; absent means queuedBytes.
            order: ?string,
            # At most so many, up to 100; absent means 10.
            connections: ?int,
            # At most so many, up to 100; absent means 10.
            channels: ?int
        ) -> (status: HubStatus, connections: []Connection, channels: []BusyChannel)

        # What kind of thing an event is: a WebSocket opened, or began to end; a client was refused; a slow consumer began
        # to lose messages; the configuration was read again or set; the hub began to send its connections away; connections can't be
        # accepted.
        type EventKind (connect, close, refuse, slow, reload, drain, trouble)

        # Events like one that are not told one by one, for it came in a flood.
        type OtherEvents (
            # How many.
            count: int,
            # When the first of them came: RFC 3339, UTC, milliseconds.
            first: string,
            # When the last of them came.
            last: string,
            # Whether all are of the same address as the event that they stand with.
            sameAddress: bool
        )

        # Something that happened in the hub.
        type Event (
            # When: RFC 3339, UTC, milliseconds.
            time: string,
            kind: EventKind,
            # Why, as metrics label it.
            cause: ?string,
            # The close code.
            code: ?int,
            # The reason that was given, for a person. Whatever the client sent: never show it without escaping.
            text: ?string,
            # The connection.
            id: ?string,
            # Its peer's IP address.
            address: ?string,
            # The endpoint's path.
            endpoint: ?string,
            # Who it is.
            user: ?string,
            # The first of the channels that it is in, or the one that it was not let into.
            channels: ?[]string,
            # When the WebSocket opened: RFC 3339, UTC, milliseconds.
            connectedSince: ?string,
            # Bytes that waited for it.
            queuedBytes: ?int,
            # Messages it never got.
            droppedMessages: ?int,
            # Those of its kind and cause that came behind it and are not told one by one.
            more: ?OtherEvents,
            # The name of the node, in an answer of all nodes.
            node: ?string
        )

        # What happens, as it happens. Needs more, and ends when the caller goes away. The first reply is empty: nothing is
        # missed after it.
        method Monitor(
            # Only what is about these connections; absent means everything.
            filter: ?ConnectionFilter,
            # Only events of these kinds; absent means all.
            kinds: ?[]string
        ) -> (
            events: []Event,
            # How many events so far came too fast and are left out.
            lost: int,
            # In the last reply, whether the daemon ends for a restart; absent in the others.
            restarts: ?bool
        )

        # How the last connections ended and who was refused, the newest first. Some thousands of each are kept. A flood of
        # those that are alike is told by its newest and its first, with more, which comes where the last of these would.
        method Why(
            # Only what is about these connections; absent means everything.
            filter: ?ConnectionFilter,
            # At most so many: 1 to 1000, and 1000 if absent.
            limit: ?int,
            # Whether on all nodes that share the broker; absent means on this one.
            cluster: ?bool
        ) -> (
            events: []Event,
            # The names of the nodes that did not answer; absent where no other node was asked.
            silent: ?[]string
        )

        # A node at one moment: a daemon that shares the broker. Without figures where it did not answer.
        type Node (
            # The host's name, unless it is configured.
            name: string,
            # Names this run of the daemon; opaque.
            id: string,
            # Whether it is the node that was asked.
            isThis: bool,
            # The daemon's version.
            version: string,
            # Where it listens for clients.
            addresses: []string,
            # When it started: RFC 3339, UTC, milliseconds.
            since: string,
            # Whether it takes connections.
            state: ?HubState,
            # Why it takes no new connections, where it does not.
            notReady: ?string,
            # Connections open or closing now.
            connections: ?int,
            # The most connections it takes.
            maxConnections: ?int,
            # Messages that came from clients in a second, over the last half of one.
            messagesInPerSecond: ?float,
            # Messages sent to clients in a second.
            messagesOutPerSecond: ?float,
            # How many processors it keeps busy.
            load: ?float,
            # Seconds that a question and its answer took through the broker; absent for the node that was asked.
            lagSeconds: ?float
        )

        # The nodes that share the broker, by name.
        method Nodes() -> (
            nodes: []Node,
            # The names of those that did not answer.
            silent: []string
        )
        """
}
