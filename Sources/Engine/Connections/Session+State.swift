import Base
import Channels

extension Session {
    /// Writes the session with the channels that the client has joined. A request to join is no part of it, nor is the
    /// order of answers that are still to come: both are waited for first.
    ///
    /// - Parameter number: the number in the state of the channel with this index.
    func write(to state: inout StateWriter, now: UInt32, number: (UInt32) -> UInt32) {
        identity.write(to: &state)
        errorBucket.write(to: &state, now: now)
        state.write(isAskedToRefresh)
        let joined = memberships.joined
        state.write(count: joined.count)
        for membership in joined {
            state.write(number(membership.channel))
            state.write(membership.generation)
            state.write(membership.droppedBefore)
            state.write(membership.startSeq)
        }
    }

    /// Reads a session. Its memberships have the numbers that their channels have in the state, and count as joining
    /// until the connection has its places in these channels.
    ///
    /// - Parameters:
    ///   - channelCount: the number of channels in the state.
    ///   - tick: the tick of a time in milliseconds since 1970.
    init(
        from state: inout StateReader, now: UInt32, channelCount: Int, tick: (Int64?) -> UInt32
    ) throws(StateError) {
        let identity = try Identity(from: &state)
        self.init(
            identity: identity, errorBucket: try RateBucket(from: &state, now: now),
            expiresAt: tick(identity.expiresAt))
        isAskedToRefresh = try state.flag()
        let count = try state.elementCount(ofAtLeast: 4)
        var known: Set<UInt32> = []
        for _ in 0..<count {
            let channel: UInt32 = try state.number()
            try state.require(Int(channel) < channelCount, "a channel that there is not")
            try state.require(known.insert(channel).inserted, "a channel joined twice")
            let generation: UInt32 = try state.number()
            let dropped: UInt32 = try state.number()
            memberships.begin(
                Membership(
                    rejoining: channel, generation: generation, startSeq: try state.number(), droppedBefore: dropped))
        }
    }
}
