import Rooms

extension Session {
    /// Writes the session with the channels that the client has joined. A request to join is no part of it, nor is the
    /// order of answers that are still to come: both are waited for first.
    ///
    /// - Parameter number: the number in the state of the channel with this index.
    func write(to state: inout StateWriter, now: UInt32, number: (UInt32) -> UInt32) {
        identity.write(to: &state)
        errorBucket.write(to: &state, now: now)
        state.write(isAskedToRefresh)
        let joined = memberships.all.filter { $0.state == .joined }
        state.write(count: joined.count)
        for membership in joined { membership.write(to: &state, number: number(membership.channel)) }
    }

    /// Reads a session.
    ///
    /// - Parameters:
    ///   - channelCount: the number of channels in the state.
    ///   - tick: the tick of a time in milliseconds since 1970.
    /// - Returns: the session without memberships, and these with the numbers of their channels in the state: the client
    ///   enters each channel when it gets a position there.
    static func read(
        from state: inout StateReader, now: UInt32, channelCount: Int, tick: (Int64?) -> UInt32
    ) throws(StateError) -> (session: Session, joined: [Membership]) {
        let identity = try Identity(from: &state)
        var session = Session(
            identity: identity, errorBucket: try RateBucket(from: &state, now: now),
            expiresAt: tick(identity.expiresAt))
        session.isAskedToRefresh = try state.flag()
        var joined: [Membership] = []
        var known: Set<UInt32> = []
        for _ in 0..<(try state.elementCount(ofAtLeast: 4)) {
            let membership = try Membership(from: &state)
            try state.require(Int(membership.channel) < channelCount, "a channel that there is not")
            try state.require(known.insert(membership.channel).inserted, "a channel joined twice")
            joined.append(membership)
        }
        return (session, joined)
    }
}
