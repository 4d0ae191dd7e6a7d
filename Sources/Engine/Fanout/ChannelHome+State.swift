import Base
import Channels
import Settings

extension ChannelHome {
    /// Writes the order, the history and the users of the channel, and how its members are counted. Messages that wait
    /// to be handed over are no part of it: they are delivered first.
    func write(to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>) {
        Self.write(tracksPresence: settings.tracksPresence, settings.isTracked, countedSince, to: &state)
        state.write(room != nil)
        room?.write(to: &state, &shared)
    }

    /// Writes how the members are counted.
    static func write(
        tracksPresence: Bool, _ isTracked: Bool, _ countedSince: UInt32, to state: inout StateWriter
    ) {
        state.write(tracksPresence)
        state.write(isTracked)
        state.write(countedSince)
    }

    /// Reads what a home of the channel has written, which may have had other settings: if members are counted
    /// differently now, counting begins anew, as after a reload.
    ///
    /// - Parameters:
    ///   - generation: the generation of the configuration, larger than that of any home that was written.
    ///   - isSnapshot: whether the home went on after it was written, so that its members are gone, and its numbers may
    ///     have been given to messages that are lost.
    ///   - wasShared: whether a broker gave the numbers. Without it, the other nodes go on with them.
    func restore(
        from state: inout StateReader, _ shared: inout SharedReader<HistoryBlock>, generation: UInt32,
        isSnapshot: Bool = false, wasShared: Bool = false
    ) throws(StateError) {
        let tracksPresence = try state.flag()
        let isTracked = try state.flag()
        let since: UInt32 = try state.number()
        let isAlike = tracksPresence == settings.tracksPresence && isTracked == settings.isTracked
        let room =
            try state.flag()
            ? try Room(
                from: &state, &shared, name: name, settings: settings, cost: history) : nil
        // A broker counts the users of this process anew, and says what members have missed meanwhile.
        let goesOn = isAlike && self.shared == nil && !isSnapshot
        if isSnapshot || wasShared && self.shared == nil { room?.renumber() }
        if !goesOn { room?.forgetMembers() }
        take(room, countedSince: goesOn ? since : generation)
        if self.shared != nil, room != nil { self.shared = SharedChannel(isRestored: true) }
    }
}
