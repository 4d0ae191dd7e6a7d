import Base
import Channels
import Operations

/// The socket of a connection that is handed to the next process.
package struct ParkedSocket: Sendable, Equatable {
    package var descriptor: Int32
    /// Whether a frame is partly sent or the connection has TLS, so that a close frame can't follow.
    package var isTorn: Bool
    /// The reason that the client is told if the connection is closed.
    package var reason: String
    /// The last records of a connection with TLS, which `close` sends instead of a frame; empty if none can follow.
    var sealed: [UInt8] = []

    package init(descriptor: Int32, isTorn: Bool, reason: String = ParkedSocket.restarting) {
        self.descriptor = descriptor
        self.isTorn = isTorn
        self.reason = reason
    }
}

/// What a hub has written down for the next process.
package struct ParkedHub: Sendable {
    /// The file's bytes, piece by piece: `ParkingFile`.
    package var pieces: [[UInt8]]
    /// The sockets in the order in which the file has their connections.
    package var sockets: [ParkedSocket]
    package var times: ParkingTimes
    /// The number of connections that could not be parked and were closed.
    package var closedCount: Int

    package var byteCount: Int { pieces.reduce(0) { $0 + $1.count } }
}

/// What an earlier process has left: the bytes of its `ParkingFile`, and the sockets in their order, without those that
/// have been lost. The bytes have to be valid until a hub has adopted them.
package struct ParkedState: @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer
    package let sockets: [ParkedSocket]
    /// Whether it is a `HistorySnapshot` of a process that was killed later.
    package let isSnapshot: Bool

    package init(bytes: UnsafeRawBufferPointer, sockets: [ParkedSocket]) {
        self.bytes = bytes
        self.sockets = sockets
        isSnapshot = false
    }

    /// - Parameter snapshot: the bytes of a `HistorySnapshot`.
    package init(snapshot: UnsafeRawBufferPointer) {
        bytes = snapshot
        sockets = []
        isSnapshot = true
    }

    /// The time at which a file was written, in nanoseconds of the monotonic clock; 0 if it can't be read.
    package static func age(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let section = try? ParkingFile(bytes).sections.first else { return 0 }
        var state = StateReader(section)
        return (try? ParkedHead(from: &state))?.times.begunAt ?? 0
    }
}

/// What a hub has taken over from an earlier process.
package struct Adopted: Sendable {
    /// The open WebSockets, and the handshakes in progress.
    package var openCount = 0
    package var handshakeCount = 0
    /// The connections that were closed, by the process before and by this one.
    package var closedCount = 0
    /// The reason why nothing was taken over; nil if it was.
    package var problem: String?
    /// The sockets that were not taken over, which are for whoever has the hub to close.
    package var refused: [ParkedSocket] = []
    /// The times of the process before; nil if they could not be read.
    package var times: ParkingTimes?
    /// When this process began to take over, and when it had, in nanoseconds of the monotonic clock.
    package var begunAt: UInt64 = 0
    package var completedAt: UInt64 = 0
}

/// The histories that a hub has taken over from the snapshot of a process that was killed.
package struct RecoveredHistory: Sendable {
    package var channelCount = 0
    package var messageCount = 0
    /// When the snapshot was written, in nanoseconds of the monotonic clock.
    package var writtenAt: UInt64 = 0
    /// The reason why nothing was taken over; nil if it was.
    package var problem: String?
}

/// What parking would do with the connections of a moment.
package struct ParkingOutlook: Sendable, Equatable {
    package var keptCount = 0
    package var handshakeCount = 0
    /// Connections whose handshake of TLS is in progress, which nobody else can go on with.
    package var secureHandshakeCount = 0
    /// Connections that wait for an answer from elsewhere, which may come in time.
    package var waitingCount = 0
    /// Connections whose end has begun.
    package var endingCount = 0

    static func += (total: inout ParkingOutlook, other: ParkingOutlook) {
        total.keptCount += other.keptCount
        total.handshakeCount += other.handshakeCount
        total.secureHandshakeCount += other.secureHandshakeCount
        total.waitingCount += other.waitingCount
        total.endingCount += other.endingCount
    }
}

/// What a worker that is to be parked says about what is under way.
struct Settling: Sendable {
    /// Whether nothing has happened since the last time, and nothing is to be done.
    var isQuiet: Bool
    /// The number of connections that wait for an answer from elsewhere.
    var waitingCount: Int
}

/// What a worker has written down: a section of a `ParkingFile`, piece by piece, and the sockets in its order.
struct ParkedWorker: Sendable {
    var index: Int
    var section: [[UInt8]]
    var sockets: [ParkedSocket]
    var closedCount: Int
    /// What the next process remembers.
    var statistics: Statistics
    var endings: [Event]
}
