import Base
import Broker
import Channels
import Operations
import WebSocket

/// A message in a worker's mailbox, by addressee.
enum WorkerMessage: Sendable {
    case home(Home)
    case connections(Connections)
    case operation(Operation)
    case control(Control)

    /// For the home of a channel, which this worker is.
    enum Home: Sendable {
        /// Publishes messages in a channel.
        ///
        /// - Parameters:
        ///   - at: the time at which the first of them came, in nanoseconds of the monotonic clock.
        ///   - Receipt: the receipt for an operator's message; the batch then has only that message.
        case publish(channel: String, PublicationBatch, at: UInt64, Receipt?)
        /// The present encodings of another worker's subscribers; empty: it has no subscribers.
        case interest(channel: String, worker: Int, Encoding.Set)
        case join(channel: String, JoinRequest, Encoding)
        /// A member that was counted under this configuration has left.
        case leave(channel: String, name: String, isLost: Bool, generation: UInt32)
        /// A member was counted under this configuration; 0 if it wasn't counted.
        case count(channel: String, name: String, generation: UInt32)
        case ask(channel: String, Question)
        /// Asks for a `fenceReached` after everything that the home has delivered.
        case fence(channel: String, ConnectionReference)
        /// Asks for notice when the home has answered a connection's earlier requests.
        case fenceAnswers(ConnectionReference, channel: String)
        /// Asks for the state of a channel.
        case inspect(channel: String, ChannelInspection)
        case follow(channel: String, Follower, Replies<Void>)
        case unfollow(channel: String, Follower)
        /// What the broker says about channels of this home.
        case broker([BrokerEvent])

        /// Whether it waits for those before it: they are processed in order, as many in a turn as its budget allows,
        /// and only while their results have room. The others are processed at once.
        var waitsItsTurn: Bool {
            switch self {
            case .interest, .follow, .unfollow: false
            default: true
            }
        }
    }

    /// For connections of this worker.
    enum Connections: Sendable {
        /// A channel's next messages, from its home, for this worker's subscribers.
        case deliver(channel: String, Delivery, [Receipt])
        case joined(channel: String, JoinReply, Encoding)
        /// Frame i of the segment is for connection i; the connections in `done` have no more replies to come.
        case replies(Segment?, [ConnectionReference], done: [ConnectionReference])
        case fenceReached(ConnectionReference)
        /// - Parameter cost: what the check was counted as; see ``TokenChecks``.
        case verified(ConnectionReference, Result<Identity, TokenRefusal>, cost: Int)
        case refreshed(ConnectionReference, id: [UInt8], Result<Identity, TokenRefusal>, cost: Int)
        /// The answer to a challenge of a certificate authority; nil if there is none.
        case challenge(ConnectionReference, answer: [UInt8]?, includesBody: Bool, RefusedAs)
    }

    /// An operator's or a backend's.
    enum Operation: Sendable {
        /// Sends a message to every selected connection, whatever its channels.
        case broadcast(Segment, isPlainText: Bool, ConnectionSelection, Replies<Int>)
        case kick(ConnectionSelection, CloseCode, reason: String, Replies<Int>)
        /// Removes the selected `json` connections from a channel.
        case unsubscribe(ConnectionSelection, channel: String, reason: String, Replies<Int>)
        case list(ConnectionSelection, from: UInt32, limit: Int, Replies<Slice<ConnectionRow>>)
        /// Asks for the first connections in an order, among those from a slot on with a value above a floor.
        case top(ConnectionOrder, limit: Int, from: UInt32, above: UInt64?, Replies<Slice<RankedConnection>>)
        /// Asks for the channels of this home with the highest message rates, among those from a place on.
        case busiest(limit: Int, from: UInt32, Replies<Slice<BusyChannel>>)
        /// Asks for the number of this worker's connections in each of these channels.
        case countSubscribers([String], Replies<[Int]>)
        /// Asks for the number of this worker's connections in each channel from a place on.
        case countChannels(from: UInt32, Replies<Slice<ChannelRow>>)
        case statistics(Replies<(worker: Int, Statistics)>)
        /// Asks how many messages have been given a number here.
        case countNumbered(Replies<UInt64>)
        /// Asks for the histories of this home from a place on, for a snapshot.
        case snapshot(from: UInt32, Replies<Slice<RoomSnapshot>>)
        /// Asks what parking would do with this worker's connections.
        case parkingOutlook(Replies<ParkingOutlook>)
        /// Asks for the last endings of the selected connections, in no particular order.
        case endings(ConnectionSelection, Replies<[Event]>)
    }

    /// For the worker itself.
    enum Control: Sendable {
        /// Hands over a connection that another worker accepted for this one.
        case adopt(descriptor: Int32, address: IPAddress, port: UInt16, isSecure: Bool)
        /// A mailbox that was full has room again.
        case relieved
        /// Applies another configuration at the end of the turn.
        indirect case reconfigure(EngineConfiguration, Replies<Void>)
        /// Recounts members and checks permissions, after every worker has applied the configuration.
        case recount(Replies<Void>)
        /// Asks whether this worker still runs its loop.
        case probe(UInt64)
        case listen([ListeningSocket], Replies<Void>)
        case stopListening(Replies<Void>)
        /// Closes every connection over a period, then answers.
        case drain(period: Duration, timeout: Duration, reason: String, Replies<Void>)
        /// Asks whether everything that was under way has arrived; the worker reads no more input from then on, and with
        /// `isLast` takes no more answers from outside.
        case settle(isLast: Bool, Replies<Settling>)
        /// Writes down all connections and channels, and ends the worker.
        case park(Replies<ParkedWorker>)
        /// Ends the remaining connections without waiting.
        case abort
        case stop
    }

    /// Whether it is for a channel's home and waits for those before it.
    var waitsItsTurn: Bool {
        if case .home(let message) = self { message.waitsItsTurn } else { false }
    }

    /// The size by which the message counts towards a mailbox being full. Those of the control plane don't count,
    /// because each of them waits for its reply.
    var byteCount: Int {
        switch self {
        case .home(.publish(_, let batch, _, _)): batch.byteCount
        case .home(.broker(let events)): events.reduce(0) { $0 + $1.byteCount }
        case .connections(.deliver(_, let delivery, _)): delivery.byteCount
        case .connections(.replies(let segment, _, _)): segment?.count ?? 0
        case .home(.join), .home(.leave), .home(.ask), .connections(.joined): 256
        default: 0
        }
    }
}

extension BrokerEvent {
    /// The approximate size in bytes.
    var byteCount: Int {
        switch self {
        case .delivered(let batch): BrokerEvent.overhead + batch.publications.count
        case .subscribed(_, _, let history), .renumbered(_, _, let history):
            history.reduce(BrokerEvent.overhead) { $0 + BrokerEvent.overhead + $1.publications.count }
        case .members(_, _, let members):
            BrokerEvent.overhead + (members?.count ?? 0) * 2 * MemoryLayout<BrokerMember>.stride
        default: BrokerEvent.overhead
        }
    }

    /// The size of an event or a batch besides its publications, with malloc's headers.
    private static let overhead = 256
}
