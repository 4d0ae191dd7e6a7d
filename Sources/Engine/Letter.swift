import Rooms
import WebSocket

/// What workers tell each other and the control plane tells them.
enum Letter: Sendable {
    /// A connection that another worker accepted for this one.
    case adopt(descriptor: Int32, address: IPAddress, port: UInt16)
    /// Messages for a channel whose home this is.
    ///
    /// - Parameters:
    ///   - at: when the first of them came, in nanoseconds of the monotonic clock.
    ///   - Receipt: an operator's, whose one message it is.
    case publish(channel: String, PublicationBatch, at: UInt64, Receipt?)
    /// A channel's next messages, from its home, for this worker's subscribers.
    case deliver(channel: String, Delivery, [Receipt])
    /// The encodings that another worker's subscribers to a channel of this home use by now; none: it has no subscribers.
    case interest(channel: String, worker: Int, Encoding.Set)
    /// Asks a channel's home for a `fenceReached` behind everything it has delivered.
    case fence(channel: String, ConnectionID)
    case fenceReached(ConnectionID)
    /// A mailbox that was full has room again.
    case relieved
    case join(channel: String, JoinRequest, Encoding)
    case joined(channel: String, JoinReply, Encoding)
    /// Somebody has left a channel whose home this is, who was counted under this configuration.
    case leave(channel: String, name: String, isLost: Bool, generation: UInt32)
    /// Somebody is in a channel whose home this is, and was counted under that configuration; 0 where not at all.
    case count(channel: String, name: String, generation: UInt32)
    case ask(channel: String, Question)
    /// Frame i of the segment is for connection i; the connections in `done` have no more answers to come.
    case answers(Segment?, [ConnectionID], done: [ConnectionID])
    /// Asks a home to say when it has answered what a connection sent it before.
    case fenceAnswers(ConnectionID)
    case verified(ConnectionID, Result<Identity, TokenRefusal>)
    case refreshed(ConnectionID, id: [UInt8], Result<Identity, TokenRefusal>)
    /// A message to every selected connection, whatever its channels.
    case broadcast(Segment, isPlainText: Bool, ConnectionSelection, Gather<Int>)
    /// What the home knows of a channel; with the messages below a number, at most so many.
    case inspect(channel: String, before: UInt64?, limit: Int, Gather<ChannelSnapshot?>)
    /// The connections that come first in an order, of those from a slot on that have more than a floor.
    case top(ConnectionOrder, limit: Int, from: UInt32, above: UInt64?, Gather<Slice<RankedConnection>>)
    /// The channels of this home in which most is said, of those from a place on.
    case busiest(limit: Int, from: UInt32, Gather<Slice<ChannelActivity>>)
    /// How many on this worker are in each of these channels.
    case countSubscribers([String], Gather<[Int]>)
    /// How many on this worker are in each of the channels from a place on.
    case countChannels(from: UInt32, Gather<Slice<ChannelCount>>)
    case kick(ConnectionSelection, CloseCode, reason: String, Gather<Int>)
    /// Takes the selected `json` connections out of a channel.
    case unsubscribe(ConnectionSelection, channel: String, reason: String, Gather<Int>)
    case list(ConnectionSelection, from: UInt32, limit: Int, Gather<ConnectionPage>)
    case statistics(Gather<(worker: Int, Statistics)>)
    /// The last endings of a selection, in no particular order.
    case endings(ConnectionSelection, Gather<[Ending]>)
    case follow(channel: String, Follower, Gather<Void>)
    case unfollow(channel: String, Follower)
    /// Another configuration holds from the end of the turn on.
    indirect case reconfigure(EngineConfiguration, Gather<Void>)
    /// Every worker goes by it.
    case recount(Gather<Void>)
    /// The control plane asks whether this worker still turns.
    case probe(UInt64)
    case listen([ListeningSocket], Gather<Void>)
    case stopListening(Gather<Void>)
    /// Closes every connection over a period, then reports.
    case drain(period: Duration, timeout: Duration, reason: String, Gather<Void>)
    /// Ends what is left without waiting.
    case abort
    case stop
}

extension Letter {
    /// What it makes a mailbox fuller by. Letters of the control plane count nothing: each waits for its answer.
    var byteCount: Int {
        switch self {
        case .publish(_, let batch, _, _): batch.byteCount
        case .deliver(_, let delivery, _): delivery.byteCount
        case .answers(let segment, _, _): segment?.count ?? 0
        case .join, .joined, .leave, .ask: 256
        default: 0
        }
    }

    /// Whether it is for the home of a channel. Such letters are acted on in their order, as many in a turn as its work
    /// allows, and not while what they cause has no room; all others at once.
    var isForHome: Bool {
        switch self {
        case .publish, .join, .leave, .count, .ask, .fence, .fenceAnswers, .inspect: true
        default: false
        }
    }
}
