/// `io.wsd.Control` and `io.wsd.Status`: their names, and the text that describes them to any Varlink client.
///
/// Status is for every user of the machine, so it has figures and identifies no client. The clients' addresses, users
/// and channels are for those who can open the control socket.
package enum ControlInterface {
    /// The complete interface, served on the control socket only.
    package static let control = "io.wsd.Control"
    /// The interface with figures only, served on both sockets.
    package static let status = "io.wsd.Status"

    /// The description of `io.wsd.Control`.
    package static let controlDescription = """
        # Look into a running wsd, send messages to its clients, close their connections.
        #
        # Who can open the socket may do all of this.
        interface \(control)

        \(figures)

        \(people)

        \(watching)

        \(acting)

        """

    /// The description of `io.wsd.Status`.
    package static let statusDescription = """
        # Figures of a running wsd. Everybody may open the socket, so it names no client: no address, user, channel or user
        # agent, and no message.
        #
        # The same as io.wsd.Control as far as it goes, which has all of that for those who may open its socket.
        interface \(status)

        \(figures)

        """

    /// The part that both interfaces have, which identifies no client. No parentheses in comments inside a method: the
    /// scanner of PyPI's varlink takes them for the end of its parameters.
    private static let figures = """
        # Whether the hub takes connections: draining when it is sending those it has away.
        type HubState (running, draining)

        # How far a drain is.
        type DrainProgress (
            # When it began: RFC 3339, UTC, milliseconds.
            startedAt: string,
            # Connections there were when it began.
            connectionsAtStart: int,
            # Connections still there.
            connectionsLeft: int,
            # Seconds until those still there are cut off.
            secondsLeft: float
        )

        # What has become of the connections at the restart by which this process began.
        type RestartReport (
            # The WebSockets that go on, and the handshakes.
            adopted: int,
            handshakes: int,
            # Connections that were closed, for they could not be handed over or taken over.
            closed: int,
            # Why nothing could be taken over, where that was so.
            problem: ?string,
            # Seconds from the last read of the process before to the first of this one, where that is known.
            silentSeconds: ?float,
            # Of these, the seconds of each phase: settle, write, start and adopt.
            phases: [string]float
        )

        # The histories by which this process began, because the process before was killed.
        type RecoveryReport (
            # The channels that go on with what their snapshot has, and the messages in it.
            channels: int,
            messages: int,
            # When the snapshot was taken, where that is known.
            takenAt: ?string,
            # Why nothing could be taken over, where that was so.
            problem: ?string
        )

        # What the hub holds for its clients, in bytes.
        type MemoryStatus (
            # The most that it holds; 0 where nothing bounds it.
            limit: int,
            # All that it holds now.
            used: int,
            # Of that, input whose message is unfinished, and handshakes that are under way.
            input: int,
            # Messages on their way from one worker to another.
            mailboxes: int,
            # What waits for slow clients.
            backlogs: int,
            # The history of channels, the channels themselves included.
            history: int
        )

        # A source outside whose records are published, as this node sees it.
        type ConsumerStatus (
            # The kind of source, such as redis-stream.
            source: string,
            # The name of the stream.
            stream: string,
            # The consumer group.
            group: string,
            # Whether this node reads it, another one does, or it can't be read.
            state: (reading, standby, down),
            # The node that reads it, where that is another one.
            reader: ?string,
            # Why it can't be read, or why its records are not published.
            problem: ?string,
            # Records that this node has published, and those that can't be.
            published: int,
            rejected: int,
            # Records that nobody has read yet, and those that were read and are not acknowledged, where that is known.
            lag: ?int,
            pending: ?int
        )

        # A certificate that the hub shows its clients.
        type CertificateStatus (
            # The names of the hosts that it is for.
            names: []string,
            # The kind of its key, such as RSA and EC.
            keyKind: string,
            # When it expires: RFC 3339, UTC.
            expiresAt: string
        )

        # The hub as a whole at one moment. Counters are since the daemon started.
        type HubStatus (
            # The daemon's version.
            version: string,
            # The daemon's process id.
            pid: int,
            # Whether the hub takes connections.
            state: HubState,
            # Why the hub takes no new connections, where it does not.
            notReady: ?string,
            # When the daemon was ready: RFC 3339, UTC, milliseconds.
            startedAt: string,
            # Seconds since then.
            uptimeSeconds: float,
            # Connections open or closing now.
            connections: int,
            # The most connections the hub takes.
            maxConnections: int,
            # Connections of each worker.
            connectionsPerWorker: []int,
            # Connections whose opening handshake succeeded.
            accepted: int,
            # Connections refused before or in their opening handshake, by reason.
            refused: [string]int,
            # Connections closed after it, by reason.
            closed: [string]int,
            # Messages that came from clients.
            messagesIn: int,
            # Messages sent to clients, each counted once per receiver.
            messagesOut: int,
            # Bytes that came from clients.
            bytesIn: int,
            # Bytes sent to clients.
            bytesOut: int,
            # Bytes that wait for slow clients to read.
            queuedBytes: int,
            # Connections that have something waiting now.
            slowConsumers: int,
            # What it holds for its clients.
            memory: MemoryStatus,
            # Where the hub listens, such as [::]:8080.
            listeners: []string,
            # The configuration files in force, in the order they were read; empty on built-in defaults.
            configurationFiles: []string,
            # The keys that are otherwise in the configuration than in force, and take effect after a restart only.
            pendingRestart: ?[]string,
            # The keys that are given and not used, because systemd passes sockets in their place.
            unusedKeys: ?[]string,
            # What an administrator should know and decide.
            notices: ?[]string,
            # The sources outside whose records are published.
            consumers: ?[]ConsumerStatus,
            # The restart by which this process began, if it took connections over.
            lastRestart: ?RestartReport,
            # The histories by which this process began, if the process before was killed and left a snapshot.
            recovered: ?RecoveryReport,
            # The certificates that the hub shows its clients.
            certificates: ?[]CertificateStatus,
            # How far the drain is, while there is one.
            drain: ?DrainProgress
        )

        # The hub at this moment.
        method GetStatus() -> (status: HubStatus)
        """
}
