extension ControlInterface {
    /// The part of `io.wsd.Control` that changes something.
    static let acting = """
        # Close connections. Says how many, and doesn't wait for their closing handshakes.
        method Kick(
            # Which connections. Something must be given; for every connection that is all.
            filter: ConnectionFilter,
            # The close code: 1000, 1001, 1008, 1011, 1012, 1013 or 3000 to 4999; absent means 1008.
            code: ?int,
            # Why, for a person: at most 123 bytes; absent means a general text.
            reason: ?string,
            # Whether on all nodes that share the broker; absent means on this one.
            cluster: ?bool
        ) -> (
            # How many connections are being closed.
            connections: int,
            # The names of the nodes that did not answer; absent where no other node was asked.
            silent: ?[]string
        )

        # Send a message to many. Says to how many connections it goes, and doesn't wait for them to read.
        method Broadcast(
            # A text message. Either this or data is given.
            message: ?string,
            # A binary message, in Base64.
            data: ?string,
            # To everyone in this channel; absent means to everyone.
            channel: ?string,
            # To this user's connections only.
            user: ?string,
            # Whether to the connections of all nodes that share the broker; absent means to those of this one. What goes
            # to everyone in a channel goes to all nodes in any case.
            cluster: ?bool
        ) -> (
            # How many connections it goes to.
            recipients: int,
            # Where the message is, as of Publish, if it went to everyone in a channel.
            epoch: ?string,
            seq: ?int,
            # The names of the nodes that did not answer; absent where no other node was asked.
            silent: ?[]string
        )

        # Publish a message in a channel. It gets its place in the channel's order, and is kept if the channel has a history.
        method Publish(
            channel: string,
            # A text message. Either this or data is given.
            message: ?string,
            # A binary message, in Base64.
            data: ?string
        ) -> (
            # How many connections it goes to.
            recipients: int,
            # The message's position, from which a client can recover: the identifier of the numbering, and the number.
            # Absent if the channel keeps no history or the message is binary.
            epoch: ?string,
            seq: ?int
        )

        # End the daemon gracefully, as SIGTERM does: take no new connections, close the others over the configured
        # period, then exit. Returns at once. A drain that is under way goes on as it was.
        method Drain() -> (drain: DrainProgress)

        # What a restart would do with the connections of this moment. It restarts nothing.
        method PlanRestart() -> (
            # Why connections can't be handed to the next process at all, so that a restart drains; absent if they can be.
            obstacle: ?string,
            # The WebSockets that would go on, and the handshakes.
            kept: int,
            handshakes: int,
            # Connections that would be closed, by reason.
            closed: [string]int,
            # The errors in the configuration on disk, with which no process would start; absent for none.
            errors: ?[]string
        )

        # Read the configuration and the keys again and apply them: all or nothing.
        method Reload() -> (
            # The keys of the configuration that changed and are in force now.
            changed: []string,
            # The keys that changed and take effect after a restart only.
            needsRestart: []string,
            # The keys that are given and not used, because systemd passes sockets in their place; absent for none.
            unused: ?[]string,
            # What is no error, but wants a look: about certificates; absent for nothing.
            notices: ?[]string
        )

        # What is said in a channel, as it is said, in the words of the relay protocol. Needs more, and ends when the caller
        # goes away. The first reply has no message: nothing is missed after it.
        method FollowChannel(channel: string) -> (
            # A text message.
            message: ?string,
            # A binary message, in Base64.
            data: ?string,
            # How many messages so far came too fast and are left out.
            lost: int
        )

        # A key of the configuration.
        type Setting (
            # Such as limits.channels.
            key: string,
            # As TOML.
            value: string,
            # Where it comes from: default, a file and line, command line, wsctl, or systemd, which passes a socket.
            origin: string,
            # What is given for the key and not used, because systemd passes a socket, and where; absent for none.
            unused: ?string,
            # Whether a change applies without a restart.
            live: bool,
            # The values that it can have, where these are only a few, without quotes.
            choices: ?[]string
        )

        # A key that is otherwise on disk.
        type Difference (
            key: string,
            # Absent where the key isn't there.
            running: ?string,
            # What a reload or a restart would bring; absent where the key isn't there.
            disk: ?string,
            # Whether a reload is enough.
            live: bool
        )

        # The configuration that is in force, and how it differs from what is on disk.
        method GetConfiguration() -> (
            settings: []Setting,
            differences: []Difference,
            # What is wrong with what is on disk.
            errors: []string
        )

        # Set keys of the configuration until it is read again; all or nothing.
        method SetConfiguration(
            # By key, such as limits.channels: TOML, or text that needs no quotes.
            values: [string]string
        ) -> (changed: []string, needsRestart: []string, unused: ?[]string)

        # What the daemon spends its time and memory on.
        method Profile(
            # cpu: where CPU time goes, in the format of pprof. stacks: what each thread does now. heap: what memory is used
            # for.
            kind: string,
            # How long, for cpu: 1 to 300, and 10 if absent.
            seconds: ?int
        ) -> (
            # For cpu: the profile, in Base64.
            data: ?string,
            # For stacks and heap.
            text: ?string
        )

        # Make a JSON Web Token with the secret that this daemon checks tokens with, for development.
        method MakeToken(
            # Its user, the claim sub: 1 to 128 bytes.
            user: string,
            # Seconds until it expires, from 1 on; absent means 3600.
            lifetime: ?int,
            # The channels that it grants.
            grants: ?[]Grant
        ) -> (token: string)

        # What a token lets its bearer do in the channels of a pattern, in which an asterisk is any run of characters.
        type Grant (pattern: string, subscribe: bool, publish: bool)

        # A message that is too long to be sent to other nodes, in the form in which they get it.
        error QuestionTooLarge (
            # Bytes that it has.
            bytes: int,
            # Bytes that it may have.
            limit: int
        )

        # This node has no broker, so there are no other nodes to ask.
        error NoBroker ()

        # The configuration or the keys are not as they must be, and everything stays as it was.
        error ReloadFailed (errors: []string)

        # The daemon has no secret, auth.hmac_secret_file, to sign a token with.
        error NoSigningKey ()

        # A profile can't be taken, or another one is being taken.
        error ProfileFailed (reason: string)

        # The broker did not take a message, or could not be asked. It may be tried again.
        error Unavailable (reason: string)

        # The broker will never take this message, as it is too large for it.
        error Rejected (reason: string)

        # A kick that doesn't say which connections.
        error NothingSelected ()

        # A close code that may not be sent.
        error InvalidCloseCode (code: int)

        # A close reason that doesn't fit into a close frame.
        error ReasonTooLong (
            # Bytes that it has.
            bytes: int,
            # Bytes that it may have.
            limit: int
        )

        # A message that is longer than the hub lets messages be.
        error MessageTooLarge (
            # Bytes that it has.
            bytes: int,
            # Bytes that it may have.
            limit: int
        )
        """
}
