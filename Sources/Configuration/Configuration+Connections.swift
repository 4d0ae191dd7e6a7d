extension Configuration {
    /// `[websocket]`: the protocol with one client.
    package struct WebSocket: Sendable, Equatable {
        /// The largest message from a client, all fragments together; beyond it the connection is closed with 1009.
        package var maxMessageByteCount = 1024 * 1024
        /// Whether permessage-deflate (RFC 7692) is agreed on where a client offers it.
        package var compression = true
        /// zlib's level, 1 (fastest) to 9 (smallest).
        package var compressionLevel = 1
        /// Smaller messages are sent plain.
        package var compressionThresholdByteCount = 256
        /// The silence after which a client is pinged; zero is never.
        package var pingInterval: Duration = .seconds(25)
        /// How long a pong may take before the connection is closed with 3008; above zero.
        package var pongTimeout: Duration = .seconds(10)
        /// How long the closing handshake may take; above zero.
        package var closeTimeout: Duration = .seconds(5)
        /// How long a message may take from its first byte to its last; zero is no limit.
        package var messageTimeout: Duration = .seconds(60)
    }

    /// `[queue]`: what waits for one slow connection.
    package struct Queue: Sendable, Equatable {
        /// The most that waits for one connection.
        package var limitByteCount = 1024 * 1024
        /// What happens beyond the limit.
        package var policy = QueuePolicy.disconnect
        /// How long a peer may read nothing while something waits for it; above zero.
        package var writeTimeout: Duration = .seconds(10)
    }

    /// What happens to a connection whose queue is full.
    package enum QueuePolicy: String, Sendable, CaseIterable {
        /// It is closed.
        case disconnect
        /// It loses what has waited longest.
        case dropOldest = "drop-oldest"
        /// It misses the new message.
        case dropNewest = "drop-newest"
    }

    /// `[limits]`: what one connection may do, and what all of them together may cost.
    package struct Limits: Sendable, Equatable {
        /// The messages a client may send in a second, in the long run; 0 is no limit.
        package var messagesPerSecond = 0
        /// As it was written; `effectiveBurst` is the one to go by.
        package var burst = 0
        /// The channels that a client may be in at the same time; 0 is no limit.
        package var channels = 128
        /// The requests of a client that may fail in a minute; 0 is no limit.
        package var errorsPerMinute = 60
        /// The most that the history of all channels may take.
        package var historyByteCount = 64 * 1024 * 1024
        /// What everything that is held for clients may take.
        package var memory = MemoryLimit.share(percent: 50)

        /// The messages that a client may send at once: `burst`, or what it may send in a second where that is 0.
        package var effectiveBurst: Int { burst == 0 ? messagesPerSecond : burst }
    }

    /// `[drain]`: how the daemon goes away.
    package struct Drain: Sendable, Equatable {
        /// The time over which the closes are spread; no longer than `timeout`.
        package var period: Duration = .seconds(20)
        /// The time after which the daemon goes, whoever is left.
        package var timeout: Duration = .seconds(30)
    }
}
