import Channels
import Engine

/// Configurations as records choose them.
enum Rules {
    /// - Parameters:
    ///   - life: the program's first record: what holds as long as the hub.
    ///   - step: the rest, which `reconfigure` may change.
    static func configuration(_ life: Step, _ step: Step) -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.workerCount = life.pair(0, 0, of: [2, 2, 2, 3])
        configuration.usesSendRing = life.flag(0, 2)
        if life.flag(0, 3) {
            configuration.verifyToken = Alphabet.verify
            configuration.tokenCookie = "session"
            configuration.refreshGrace = .milliseconds(100)
            configuration.tokenLeeway = .milliseconds(50)
        }
        configuration.connectionCapacity = 64
        configuration.maximumConnections = 64
        configuration.closeTimeout = .milliseconds(200)
        configuration.channelRules = ChannelRules([
            (ChannelPattern("a"), settings(life, step, 0)), (ChannelPattern("b"), settings(life, step, 0)),
            (ChannelPattern("*"), settings(life, step, 2)),
        ])
        setLimits(&configuration, step)
        setQueue(&configuration, step)
        configuration.endpoints = Alphabet.endpoints.map {
            .init(path: $0.path, clientProtocol: $0.isJSON ? .json : .relay, channel: $0.channel)
        }
        if step.flag(6, 4) {
            configuration.endpoints.removeAll { $0.path == step.choice(5, of: Alphabet.endpoints).path }
        }
        return configuration
    }

    /// What of it is worth a line.
    static func description(_ configuration: EngineConfiguration) -> String {
        let channels = ["a", "c"].map { name in
            let settings = configuration.channelRules.settings(for: name)
            return """
                \(name): echo \(settings.echo) presence \(settings.presence) join_leave \(settings.joinLeave) \
                history \(settings.history.messageCount) \(settings.history.age) ms \(settings.history.byteCount) B \
                max_members \(settings.maximumMembers) subscribe \(settings.subscribe) publish \(settings.publish) \
                leave_delay \(settings.leaveDelay);
                """
        }
        return """
            workers \(configuration.workerCount) tokens \(configuration.verifyToken != nil) \
            ring \(configuration.usesSendRing) \(channels.joined(separator: " ")) \
            errors_per_minute \(configuration.errorsPerMinute) messages_per_second \(configuration.messagesPerSecond) \
            channels \(configuration.maximumChannels) max_message_size \(configuration.maximumMessageByteCount) \
            history_bytes \(configuration.historyByteCount) queue \(configuration.queueLimitByteCount) \
            \(configuration.queuePolicy.label) flush_delay \(configuration.flushDelay) \
            memory \(configuration.memoryByteCount) max_connections \(configuration.maximumConnections) ping_interval \(configuration.pingInterval) \
            endpoints \(configuration.endpoints.map(\.path).joined(separator: " "))
            """
    }

    /// Nothing is kept of any channel.
    static func forgetful(_ life: Step) -> EngineConfiguration {
        var configuration = configuration(life, Step([UInt8](repeating: 0, count: Program.recordByteCount)))
        configuration.channelRules = ChannelRules([])
        return configuration
    }

    /// - Parameter place: of the two bytes that say it.
    private static func settings(_ life: Step, _ step: Step, _ place: Int) -> ChannelSettings {
        var settings = ChannelSettings()
        settings.echo = !step.flag(place, 0)
        settings.presence = step.flag(place, 1)
        settings.joinLeave = step.flag(place, 2)
        settings.history.messageCount = step.pair(place, 3, of: [0, 3, 100, 1_000])
        settings.maximumMembers = step.pair(place, 5, of: [0, 0, 0, 2])
        settings.leaveDelay = step.flag(place, 7) ? 0 : 30
        settings.subscribe = access(life, step[place + 1])
        settings.publish = access(life, step[place + 1] >> 3)
        settings.history.byteCount = step.flag(place + 1, 6) ? 300 : 1 << 20
        settings.history.age = step.flag(place + 1, 7) ? 2 : 300_000
        return settings
    }

    /// Where nobody has a token, little else than `anyone` lets anybody in.
    private static func access(_ life: Step, _ bits: Int) -> Access {
        let withTokens: [Access] = [.anyone, .anyone, .anyone, .granted, .granted, .granted, .users, .nobody]
        return life.flag(0, 3) ? withTokens[bits & 7] : bits & 7 == 7 ? .nobody : .anyone
    }

    private static func setLimits(_ configuration: inout EngineConfiguration, _ step: Step) {
        configuration.errorsPerMinute = step.pair(4, 0, of: [0, 60, 2, 1])
        configuration.messagesPerSecond = step[5] >> 4 == 2 ? 20 : step.pair(4, 2, of: [0, 0, 0, 1_000])
        configuration.messageBurst = step[5] >> 4 == 3 ? 5 : 0
        configuration.maximumChannels = step.pair(4, 4, of: [128, 0, 3, 1])
        configuration.maximumMessageByteCount = step.pair(4, 6, of: [1 << 20, 1 << 22, 1 << 20, 1_000])
        configuration.historyByteCount = step.pair(5, 0, of: [64 << 20, 1 << 20, 2_000, 0])
        configuration.maximumConnections = step.pair(5, 2, of: [64, 64, 64, 4])
        configuration.maximumConnectionsPerAddress = step[5] >> 4 == 1 ? 3 : 0
        // From room for a few messages to room for all.
        let memory = [4 << 20, 1 << 20, 256 << 10, 64 << 10]
        configuration.memoryByteCount = step[5] >> 6 == 2 ? memory[step[5] >> 4 & 3] : 0
        configuration.messageTimeout = step[5] >> 4 == 0xE ? .milliseconds(50) : .zero
        configuration.exemptsLoopback = step.flag(5, 0)
        if step[5] >> 4 == 0xF {
            configuration.pingInterval = .milliseconds(50)
            configuration.pongTimeout = .milliseconds(50)
            configuration.writeTimeout = .milliseconds(100)
            configuration.handshakeTimeout = .milliseconds(100)
        }
    }

    private static func setQueue(_ configuration: inout EngineConfiguration, _ step: Step) {
        configuration.queueLimitByteCount = step.pair(6, 0, of: [1 << 20, 1 << 24, 1 << 20, 1_000])
        configuration.queuePolicy = step.pair(6, 2, of: [.disconnect, .disconnect, .dropOldest, .dropNewest])
        configuration.flushDelay = step.pair(6, 5, of: [.zero, .zero, .milliseconds(1), .milliseconds(20)])
        configuration.compression = !(step.flag(6, 4) && step.flag(6, 7))
        configuration.compressionThreshold = step.flag(6, 7) ? 1 : 256
    }
}
