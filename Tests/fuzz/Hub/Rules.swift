import Channels
import Engine
import Settings

/// Configurations as records choose them.
enum Rules {
    /// - Parameters:
    ///   - life: the program's first record: what holds as long as the hub.
    ///   - step: the rest, which `reconfigure` may change.
    static func configuration(_ life: Step, _ step: Step) -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.workerCount = life.pair(0, 0, of: [2, 2, 2, 3])
        configuration.server.ioUring = life.flag(0, 2) ? .auto : .off
        if life.flag(0, 3) {
            configuration.verifyToken = Alphabet.verify
            configuration.auth.cookie = "session"
            configuration.auth.refreshGrace = .milliseconds(100)
            configuration.auth.leeway = .milliseconds(50)
        }
        configuration.connectionCapacity = 64
        configuration.maximumConnections = 64
        configuration.websocket.closeTimeout = .milliseconds(200)
        configuration.channelRules = ChannelRules([
            (ChannelPattern("a"), settings(life, step, 0)), (ChannelPattern("b"), settings(life, step, 0)),
            (ChannelPattern("*"), settings(life, step, 2)),
        ])
        setLimits(&configuration, step)
        setQueue(&configuration, step)
        configuration.endpoints = Alphabet.endpoints.map {
            .init(path: $0.path, protocol: $0.isJSON ? .json : .relay, channel: $0.channel)
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
                history \(settings.history) \(settings.historyTTL) \(settings.historyByteCount) B \
                max_members \(settings.maxMembers) subscribe \(settings.subscribe) publish \(settings.publish) \
                leave_delay \(settings.leaveDelay);
                """
        }
        return """
            workers \(configuration.workerCount) tokens \(configuration.verifyToken != nil) \
            ring \(configuration.server.ioUring == .auto) \(channels.joined(separator: " ")) \
            errors_per_minute \(configuration.limits.errorsPerMinute) messages_per_second \(configuration.limits.messagesPerSecond) \
            channels \(configuration.limits.channels) max_message_size \(configuration.websocket.maxMessageByteCount) \
            history_bytes \(configuration.limits.historyByteCount) queue \(configuration.queue.limitByteCount) \
            \(configuration.queue.policy.name) flush_delay \(configuration.server.flushDelay) \
            memory \(configuration.memoryByteCount) max_connections \(configuration.maximumConnections) ping_interval \(configuration.websocket.pingInterval) \
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
        settings.history = step.pair(place, 3, of: [0, 3, 100, 1_000])
        settings.maxMembers = step.pair(place, 5, of: [0, 0, 0, 2])
        settings.leaveDelay = step.flag(place, 7) ? .zero : .milliseconds(30)
        settings.subscribe = access(life, step[place + 1])
        settings.publish = access(life, step[place + 1] >> 3)
        settings.historyByteCount = step.flag(place + 1, 6) ? 300 : 1 << 20
        settings.historyTTL = step.flag(place + 1, 7) ? .milliseconds(2) : .seconds(300)
        return settings
    }

    /// Where nobody has a token, little else than `anyone` lets anybody in.
    private static func access(_ life: Step, _ bits: Int) -> Access {
        let withTokens: [Access] = [.anyone, .anyone, .anyone, .granted, .granted, .granted, .users, .nobody]
        return life.flag(0, 3) ? withTokens[bits & 7] : bits & 7 == 7 ? .nobody : .anyone
    }

    private static func setLimits(_ configuration: inout EngineConfiguration, _ step: Step) {
        configuration.limits.errorsPerMinute = step.pair(4, 0, of: [0, 60, 2, 1])
        configuration.limits.messagesPerSecond = step[5] >> 4 == 2 ? 20 : step.pair(4, 2, of: [0, 0, 0, 1_000])
        configuration.limits.burst = step[5] >> 4 == 3 ? 5 : 0
        configuration.limits.channels = step.pair(4, 4, of: [128, 0, 3, 1])
        configuration.websocket.maxMessageByteCount = step.pair(4, 6, of: [1 << 20, 1 << 22, 1 << 20, 1_000])
        configuration.limits.historyByteCount = step.pair(5, 0, of: [64 << 20, 1 << 20, 2_000, 0])
        configuration.maximumConnections = step.pair(5, 2, of: [64, 64, 64, 4])
        configuration.server.maxConnectionsPerIP = step[5] >> 4 == 1 ? 3 : 0
        // From room for a few messages to room for all.
        let memory = [4 << 20, 1 << 20, 256 << 10, 64 << 10]
        configuration.memoryByteCount = step[5] >> 6 == 2 ? memory[step[5] >> 4 & 3] : 0
        configuration.websocket.messageTimeout = step[5] >> 4 == 0xE ? .milliseconds(50) : .zero
        configuration.exemptsLoopback = step.flag(5, 0)
        if step[5] >> 4 == 0xF {
            configuration.websocket.pingInterval = .milliseconds(50)
            configuration.websocket.pongTimeout = .milliseconds(50)
            configuration.queue.writeTimeout = .milliseconds(100)
            configuration.server.handshakeTimeout = .milliseconds(100)
        }
    }

    private static func setQueue(_ configuration: inout EngineConfiguration, _ step: Step) {
        configuration.queue.limitByteCount = step.pair(6, 0, of: [1 << 20, 1 << 24, 1 << 20, 1_000])
        configuration.queue.policy = step.pair(6, 2, of: [.disconnect, .disconnect, .dropOldest, .dropNewest])
        configuration.server.flushDelay = step.pair(6, 5, of: [.zero, .zero, .milliseconds(1), .milliseconds(20)])
        configuration.websocket.compression = !(step.flag(6, 4) && step.flag(6, 7))
        configuration.websocket.compressionThresholdByteCount = step.flag(6, 7) ? 1 : 256
    }
}
