package import Operations

/// The operations of the hub that the control sockets need. The daemon implements them on its engine; parameters have
/// been checked as far as that is possible without the hub.
///
/// Methods may be called from many tasks at once. None may wait for a client to read.
package protocol ControlBackend: Sendable {
    /// A caller as fields of the log, on this node and on those that it asks.
    func fields(of caller: Caller) -> [String: String]

    /// The hub at this moment.
    func status() async -> HubStatus

    /// Returns up to `limit` (at least 1) connections that `selection` selects, in an order that doesn't change while
    /// they live, starting after the page that ended with `cursor`, or from the beginning if it is nil.
    ///
    /// - Throws: ``ControlError/invalidParameter(_:)`` with `after` for a cursor that this hub never returned.
    func connections(
        matching selection: ConnectionSelection, after cursor: String?, limit: Int
    ) async throws(ControlError) -> ConnectionPage

    /// One connection; nil if it is closed or never existed.
    func connection(id: String) async -> ConnectionRow?

    /// The hub at this moment, with the first connections in an order and the busiest channels.
    func top(_ order: ConnectionOrder, connections: Int, channels: Int) async -> Top.Reply

    /// Returns up to `limit` channels by name, each with its number of connections: those that match a pattern and come
    /// after a name.
    func channels(pattern: String?, after name: String?, limit: Int) async -> ListChannels.Reply

    /// One channel with up to `limit` of its newest messages below `before`, and, if they are wanted, its users; nil if the
    /// channel has no members and no history.
    ///
    /// - Throws: ``ControlError/unavailable(_:)`` if the broker, which knows that, can't be asked.
    func channel(
        _ name: String, before: Int?, limit: Int, wantsUsers: Bool
    ) async throws(ControlError) -> ChannelDetail?

    /// Closes the connections that `selection` selects and returns their number. It doesn't wait for the closing
    /// handshakes; connections that are closing already don't count.
    func kick(
        _ selection: ConnectionSelection, reason: CloseReason, by caller: Caller
    ) async throws(ControlError) -> Int

    /// Sends a message to everyone in `channel`, or to everyone if it is nil, restricted to `user`'s connections unless
    /// that is nil. Without a user, a message to a channel is published in it; only then the result has a position.
    ///
    /// - Throws: ``ControlError/messageTooLarge(byteCount:limit:)``.
    func broadcast(
        _ message: BroadcastMessage, channel: String?, user: String?, by caller: Caller
    ) async throws(ControlError) -> PublishResult

    /// Publishes messages, those of a channel in their order, and returns for each the number of recipients or the
    /// error.
    func publish(_ messages: [ChannelMessage], by caller: Caller) async -> [Result<PublishResult, ControlError>]

    /// Removes the connections that `selection` selects from a channel and returns their number.
    func unsubscribe(
        _ selection: ConnectionSelection, channel: String, reason: String, by caller: Caller
    ) async throws(ControlError) -> Int

    /// Returns how the last connections ended that `selection` selects, or all if it is nil: the newest first, at most
    /// `limit`.
    func endings(matching selection: ConnectionSelection?, limit: Int) async -> [Event]

    /// Passes events to `body`, together with the number of events lost so far, until `body` throws or the task is
    /// cancelled. The first call has no events. Returns whether the daemon ends for a restart.
    func monitor(_ body: @escaping @Sendable ([Event], _ lost: Int) async throws -> Void) async throws -> Bool

    /// Passes the messages of a channel to `body`, together with the number of messages lost so far, until `body`
    /// throws or the task is cancelled. The first call has no message.
    func follow(
        _ channel: String, _ body: @escaping @Sendable (BroadcastMessage?, _ lost: Int) async throws -> Void
    ) async throws

    /// Begins to drain, as SIGTERM does: the daemon accepts no new connections, closes the open ones over the
    /// configured period, and ends. Returns at once; a drain in progress continues unchanged.
    func drain(by caller: Caller) async throws(ControlError) -> DrainProgress

    /// What a restart would do with the connections of this moment.
    func planRestart() async -> PlanRestart.Reply

    /// Reads the configuration and the keys again, as SIGHUP does.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)``.
    func reload(by caller: Caller) async throws(ControlError) -> ReloadOutcome

    /// Sets keys of the configuration until the next reload.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)``.
    func set(_ values: [String: String], by caller: Caller) async throws(ControlError) -> ReloadOutcome

    /// The configuration in force, and its differences from the configuration on disk.
    func configuration() async -> GetConfiguration.Reply

    /// Takes a CPU profile of `seconds` seconds in the format of pprof.
    ///
    /// - Throws: ``ControlError/profileFailed(_:)``, also if another profile is being taken.
    func cpuProfile(seconds: Int, by caller: Caller) async throws(ControlError) -> [UInt8]

    /// The current stack of each thread, as text.
    ///
    /// - Throws: ``ControlError/profileFailed(_:)``, also if another profile is being taken.
    func threadStacks(by caller: Caller) async throws(ControlError) -> String

    /// The use of memory, as text.
    func heapReport() async -> String

    /// Makes a token that is valid for `lifetime` seconds.
    ///
    /// - Throws: ``ControlError/noSigningKey``.
    func makeToken(
        user: String, lifetime: Int, grants: [MakeToken.Grant], by caller: Caller
    ) async throws(ControlError) -> String
}

extension ControlBackend {
    package func fields(of caller: Caller) -> [String: String] { caller.fields }
}
