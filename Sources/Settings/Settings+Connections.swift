extension Settings {
    /// `[websocket]`: the WebSocket protocol of each connection.
    package struct WebSocket: Sendable, Equatable {
        /// The maximum size of a client's message with all its fragments; a larger one closes the connection with 1009.
        package var maxMessageByteCount = 1024 * 1024
        /// Whether permessage-deflate (RFC 7692) is negotiated with clients that offer it.
        package var compression = true
        /// zlib's level, 1 (fastest) to 9 (smallest).
        package var compressionLevel = 1
        /// The size below which messages are sent uncompressed.
        package var compressionThresholdByteCount = 256
        /// The time without input after which a client is pinged; zero for never.
        package var pingInterval: Duration = .seconds(25)
        /// The time within which a pong must come, or the connection is closed with 3008; above zero.
        package var pongTimeout: Duration = .seconds(10)
        /// The maximum duration of the closing handshake; above zero.
        package var closeTimeout: Duration = .seconds(5)
        /// The maximum time from the first byte of a message to its last; zero for no limit.
        package var messageTimeout: Duration = .seconds(60)
    }

    /// `[queue]`: the queue of each slow connection.
    package struct Queue: Sendable, Equatable {
        /// The maximum number of bytes that wait for one connection.
        package var limitByteCount = 1024 * 1024
        /// The policy when the limit is exceeded.
        package var policy = QueuePolicy.disconnect
        /// The maximum time that a peer may read nothing while data waits for it; above zero.
        package var writeTimeout: Duration = .seconds(10)
    }

    /// The policy for a connection whose queue is full.
    package enum QueuePolicy: UInt8, Sendable, CaseIterable {
        /// The connection is closed.
        case disconnect
        /// The messages that have waited longest are dropped.
        case dropOldest
        /// The new message is dropped.
        case dropNewest

        /// The name in the configuration and the metrics.
        package var name: String {
            switch self {
            case .disconnect: "disconnect"
            case .dropOldest: "drop-oldest"
            case .dropNewest: "drop-newest"
            }
        }
    }

    /// `[limits]`: the limits for each connection, and for the memory of all of them.
    package struct Limits: Sendable, Equatable {
        /// The number of messages that a client may send per second on average; 0 for no limit.
        package var messagesPerSecond = 0
        /// The value as written; use `effectiveBurst` instead.
        package var burst = 0
        /// The maximum number of channels that a client may be in at the same time; 0 for no limit.
        package var channels = 128
        /// The maximum number of failed requests of a client per minute; 0 for no limit.
        package var errorsPerMinute = 60
        /// The maximum memory for the history of all channels.
        package var historyByteCount = 64 * 1024 * 1024
        /// The maximum memory for everything that is held for clients.
        package var memory = MemoryLimit.share(percent: 50)

        /// The number of messages that a client may send at once: `burst`, or if that is 0, the number per second.
        package var effectiveBurst: Int { burst == 0 ? messagesPerSecond : burst }
    }

    /// `[drain]`: the graceful stop of the daemon.
    package struct Drain: Sendable, Equatable {
        /// The time over which the closes are spread; no longer than `timeout`.
        package var period: Duration = .seconds(20)
        /// The time after which the daemon exits, even if clients are still connected.
        package var timeout: Duration = .seconds(30)
    }

    /// `[restart]`: what the next process begins with.
    package struct Restart: Sendable, Equatable {
        /// The time between two snapshots of the histories, for the case that the daemon is killed; zero: none are taken.
        package var snapshotInterval: Duration = .seconds(10)
    }
}
