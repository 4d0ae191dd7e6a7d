/// What the control sockets can ask of the hub. The daemon implements it on its engine; what comes in is checked
/// already, as far as it can be without the hub.
///
/// Methods may be called from many tasks at once. None may wait for a client to read.
package protocol ControlBackend: Sendable {
    /// The hub at this moment.
    func status() async -> HubStatus

    /// Connections that `matcher` selects, in an order that stays while they live, at most `limit` of them (at least 1),
    /// beginning after the page that ended with `cursor`; nil begins.
    ///
    /// - Throws: ``ControlError/invalidParameter(_:)`` with `after` for a cursor that this hub never gave out.
    func connections(
        matching matcher: ConnectionMatcher, after cursor: String?, limit: Int
    ) async throws(ControlError) -> ConnectionPage

    /// One connection, or nil when it is gone or never was.
    func connection(id: String) async -> ConnectionInfo?

    /// The hub at this moment, with the connections that come first in an order and the busiest channels.
    func top(_ order: Top.Order, connections: Int, channels: Int) async -> Top.Reply

    /// Channels with how many are in each, by name: those of a pattern, behind a name, at most `limit` of them.
    func channels(pattern: String?, after name: String?, limit: Int) async -> ListChannels.Reply

    /// One channel, with the newest messages below `before`, at most `limit` of them; nil for one that nobody is in and
    /// nothing is kept of.
    func channel(_ name: String, before: Int?, limit: Int) async -> ChannelDetail?

    /// Closes the connections that `matcher` selects and says how many those were. Doesn't wait for their closing
    /// handshakes; those that are closing already don't count.
    func kick(
        _ matcher: ConnectionMatcher, reason: CloseReason, by caller: Caller
    ) async throws(ControlError) -> Int

    /// Sends a message to everyone in `channel`, or to everyone when it is nil, of those only to `user`'s connections unless
    /// it is nil, and says to how many. Without a user, what goes to a channel is published in it.
    ///
    /// - Throws: ``ControlError/messageTooLarge(byteCount:limit:)``.
    func broadcast(
        _ message: BroadcastMessage, channel: String?, user: String?, by caller: Caller
    ) async throws(ControlError) -> Int

    /// Publishes messages, those of a channel in their order, and says of each to how many connections it goes, or what
    /// keeps it from going.
    func publish(_ messages: [ChannelMessage], by caller: Caller) async -> [Result<PublishResult, ControlError>]

    /// Takes the connections that `matcher` selects out of a channel and says how many those were.
    func unsubscribe(
        _ matcher: ConnectionMatcher, channel: String, reason: String, by caller: Caller
    ) async throws(ControlError) -> Int

    /// How the last connections ended that `matcher` selects, or all where it is nil: the newest first, at most `limit`.
    func endings(matching matcher: ConnectionMatcher?, limit: Int) async -> [Event]

    /// Hands over what happens until `body` throws or the task is cancelled, at first nothing; with it, how many events were
    /// lost so far.
    func monitor(_ body: @escaping @Sendable ([Event], _ lost: Int) async throws -> Void) async throws

    /// Hands over what is said in a channel until `body` throws or the task is cancelled, at first nil; with it, how many
    /// messages were lost so far.
    func follow(
        _ channel: String, _ body: @escaping @Sendable (BroadcastMessage?, _ lost: Int) async throws -> Void
    ) async throws

    /// Begins to drain, as SIGTERM does: no new connections, the others closed over the configured period, then the
    /// daemon ends. Returns at once; a drain that is under way goes on as it was.
    func drain(by caller: Caller) async throws(ControlError) -> DrainProgress

    /// Reads the configuration and the keys again, as SIGHUP does.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)``.
    func reload(by caller: Caller) async throws(ControlError) -> ReloadOutcome

    /// Sets keys of the configuration until it is read again.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)``.
    func set(_ values: [String: String], by caller: Caller) async throws(ControlError) -> ReloadOutcome

    /// What is in force, and what is otherwise on disk.
    func configuration() async -> GetConfiguration.Reply

    /// Where CPU time goes, for so many seconds, in the format of pprof.
    ///
    /// - Throws: ``ControlError/profileFailed(_:)``, also where another profile is being taken.
    func cpuProfile(seconds: Int, by caller: Caller) async throws(ControlError) -> [UInt8]

    /// What each thread does now, as text.
    ///
    /// - Throws: ``ControlError/profileFailed(_:)``, also where another profile is being taken.
    func threadStacks(by caller: Caller) async throws(ControlError) -> String

    /// What memory is used for, as text.
    func heapReport() async -> String

    /// Makes a token that is good for `lifetime` seconds.
    ///
    /// - Throws: ``ControlError/noSigningKey``.
    func makeToken(
        user: String, lifetime: Int, grants: [MakeToken.Grant], by caller: Caller
    ) async throws(ControlError) -> String
}
