package import Base
package import Broker
import CLinux
package import NIOCore

/// What a broker tells the hub: its events, those of one turn of the loop together, and its health.
package final class BrokerOutlet {
    private let loop: any EventLoop
    private let sink: any BrokerSink
    /// Called before events are given away.
    private let willFlush: () -> Void
    private var events: [BrokerEvent] = []
    private var isFlushScheduled = false
    private var health: BrokerHealth?

    package init(_ loop: any EventLoop, _ sink: any BrokerSink, willFlush: @escaping () -> Void) {
        self.loop = loop
        self.sink = sink
        self.willFlush = willFlush
    }

    package var isUp: Bool { health == .up }

    package func emit(_ event: BrokerEvent) {
        events.append(event)
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.assumeIsolated().execute { [weak self] in
            self?.isFlushScheduled = false
            self?.flush()
        }
    }

    /// Gives the sink what has happened since the last time.
    package func flush() {
        willFlush()
        guard !events.isEmpty else { return }
        let taken = events
        events = []
        sink.take(taken)
    }

    /// Says how the broker is, if that has changed.
    ///
    /// - Parameters:
    ///   - problem: why it can't be used at present; nil if nothing is known against it.
    ///   - isProven: whether it was seen to work. Until then, the reason remains what it went for.
    package func tell(problem: String?, isProven: @autoclosure () -> Bool) {
        switch (health, problem) {
        case (.up, nil): return
        case (_, nil):
            guard isProven() else { return }
            health = .up
        case (.down(let reason, _), let problem?) where reason == problem: return
        case (.down(_, let since), let problem?): health = .down(reason: problem, since: since)
        case (_, let problem?): health = .down(reason: problem, since: clinux_realtime_milliseconds())
        }
        if let health { emit(.health(health)) }
    }
}

/// The names of numberings.
///
/// Each publication is sent with one, in case that its channel is new: so this asks the kernel for nothing (SplitMix64).
package struct EpochNames {
    private var last = UInt64.random(in: .min ... .max)

    package init() {}

    package mutating func next() -> String {
        last &+= 0x9E37_79B9_7F4A_7C15
        var mixed = last
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return String(mixed ^ (mixed >> 31), radix: 36)
    }
}

/// A message from one node to others: the sender, a colon and the bytes.
package enum NodeMessage {
    package static func bytes(_ message: [UInt8], from sender: String) -> [UInt8] { Array("\(sender):".utf8) + message }

    /// The event of a message that has come in; nil if it is this node's own, or damaged.
    package static func event(_ bytes: ByteBuffer, to node: NodeID) -> BrokerEvent? {
        let bytes = bytes.readableBytesView
        guard let colon = bytes.prefix(14).firstIndex(of: UInt8(ascii: ":")),
            let sender = NodeID(String(decoding: bytes[..<colon], as: UTF8.self)), sender != node
        else { return nil }
        return .message(Array(bytes[(colon + 1)...]), from: sender)
    }
}
