import Base
import Channels
import Settings

extension ChannelHome {
    /// Writes the order, the history and the users of the channel, and how its members are counted. Messages that wait
    /// to be handed over are no part of it: they are delivered first.
    func write(to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>) {
        state.write(settings.tracksPresence)
        state.write(settings.isTracked)
        state.write(countedSince)
        state.write(room != nil)
        room?.write(to: &state, &shared)
    }

    /// Reads what a home of the channel has written, which may have had other settings: if members are counted
    /// differently now, counting begins anew, as after a reload.
    ///
    /// - Parameter generation: the generation of the configuration, larger than that of any home that was written.
    func restore(
        from state: inout StateReader, _ shared: inout SharedReader<HistoryBlock>, generation: UInt32
    ) throws(StateError) {
        let tracksPresence = try state.flag()
        let isTracked = try state.flag()
        let since: UInt32 = try state.number()
        let isAlike = tracksPresence == settings.tracksPresence && isTracked == settings.isTracked
        let room =
            try state.flag()
            ? try Room(
                from: &state, &shared, name: name, settings: settings, cost: history) : nil
        if !isAlike { room?.forgetMembers() }
        take(room, countedSince: isAlike ? since : generation)
    }
}
