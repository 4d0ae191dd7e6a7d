import Rooms
import WebSocket

/// A message from a worker or the control plane to a worker.
enum Letter: Sendable {
    /// Hands over a connection that another worker accepted for this one.
    case adopt(descriptor: Int32, address: IPAddress, port: UInt16)
    /// Messages for a channel whose home this worker is.
    ///
    /// - Parameters:
    ///   - at: the time at which the first of them came, in nanoseconds of the monotonic clock.
    ///   - Receipt: the receipt for an operator's message; the batch then has only that message.
    case publish(channel: String, PublicationBatch, at: UInt64, Receipt?)
    /// A channel's next messages, from its home, for this worker's subscribers.
    case deliver(channel: String, Delivery, [Receipt])
    /// The present encodings of another worker's subscribers to a channel of this home; empty: it has no subscribers.
    case interest(channel: String, worker: Int, Encoding.Set)
    /// Asks a channel's home for a `fenceReached` after everything that it has delivered.
    case fence(channel: String, ConnectionReference)
    case fenceReached(ConnectionReference)
    /// A mailbox that was full has room again.
    case relieved
    case join(channel: String, JoinRequest, Encoding)
    case joined(channel: String, JoinReply, Encoding)
    /// A member that was counted under this configuration has left a channel whose home this worker is.
    case leave(channel: String, name: String, isLost: Bool, generation: UInt32)
    /// A member of a channel whose home this worker is was counted under this configuration; 0 if it wasn't counted.
    case count(channel: String, name: String, generation: UInt32)
    case ask(channel: String, Question)
    /// Frame i of the segment is for connection i; the connections in `done` have no more answers to come.
    case answers(Segment?, [ConnectionReference], done: [ConnectionReference])
    /// Asks a home for notice when it has answered a connection's earlier requests.
    case fenceAnswers(ConnectionReference)
    case verified(ConnectionReference, Result<Identity, TokenRefusal>)
    case refreshed(ConnectionReference, id: [UInt8], Result<Identity, TokenRefusal>)
    /// Sends a message to every selected connection, whatever its channels.
    case broadcast(Segment, isPlainText: Bool, ConnectionSelection, Gather<Int>)
    /// Asks a home for the state of a channel, with up to `limit` messages below a number.
    case inspect(channel: String, before: UInt64?, limit: Int, Gather<ChannelSnapshot?>)
    /// Asks for the first connections in an order, among those from a slot on with a value above a floor.
    case top(ConnectionOrder, limit: Int, from: UInt32, above: UInt64?, Gather<Slice<RankedConnection>>)
    /// Asks for the channels of this home with the highest message rates, among those from a place on.
    case busiest(limit: Int, from: UInt32, Gather<Slice<ChannelActivity>>)
    /// Asks for the number of this worker's connections in each of these channels.
    case countSubscribers([String], Gather<[Int]>)
    /// Asks for the number of this worker's connections in each channel from a place on.
    case countChannels(from: UInt32, Gather<Slice<ChannelCount>>)
    case kick(ConnectionSelection, CloseCode, reason: String, Gather<Int>)
    /// Removes the selected `json` connections from a channel.
    case unsubscribe(ConnectionSelection, channel: String, reason: String, Gather<Int>)
    case list(ConnectionSelection, from: UInt32, limit: Int, Gather<ConnectionPage>)
    case statistics(Gather<(worker: Int, Statistics)>)
    /// Asks for the last endings of the selected connections, in no particular order.
    case endings(ConnectionSelection, Gather<[Ending]>)
    case follow(channel: String, Follower, Gather<Void>)
    case unfollow(channel: String, Follower)
    /// Applies another configuration at the end of the turn.
    indirect case reconfigure(EngineConfiguration, Gather<Void>)
    /// Recounts members and checks permissions, after every worker has applied the configuration.
    case recount(Gather<Void>)
    /// Asks whether this worker still runs its loop.
    case probe(UInt64)
    case listen([ListeningSocket], Gather<Void>)
    case stopListening(Gather<Void>)
    /// Closes every connection over a period, then answers.
    case drain(period: Duration, timeout: Duration, reason: String, Gather<Void>)
    /// Ends the remaining connections without waiting.
    case abort
    case stop
}

extension Letter {
    /// The size by which the letter counts towards a mailbox being full. Letters of the control plane don't count,
    /// because each of them waits for its answer.
    var byteCount: Int {
        switch self {
        case .publish(_, let batch, _, _): batch.byteCount
        case .deliver(_, let delivery, _): delivery.byteCount
        case .answers(let segment, _, _): segment?.count ?? 0
        case .join, .joined, .leave, .ask: 256
        default: 0
        }
    }

    /// Whether the letter is for the home of a channel. Letters for homes are processed in order, as many in a turn as
    /// its budget allows, and only while their results have room; all others at once.
    var isForHome: Bool {
        switch self {
        case .publish, .join, .leave, .count, .ask, .fence, .fenceAnswers, .inspect: true
        default: false
        }
    }
}
