import Engine
import Operations
import Synchronization

/// The hub's events for clients that watch. While at least one watches, the engine reports everything.
final class EventFeed: Sendable {
    /// The maximum number of events that wait for one watcher; further ones are lost to it.
    private static let bufferCount = 1_024

    /// An event that all watchers share, so that it costs a watcher that does not read only a reference.
    final class Shared: Sendable {
        let event: Event

        init(_ event: Event) { self.event = event }
    }

    private struct State {
        var watchers: [Int: (continuation: AsyncStream<Shared>.Continuation, lost: Int)] = [:]
        var next = 0
        /// Whether the log also wants unremarkable events.
        var logsEverything = false
    }

    private let state = Mutex(State())
    private let hub: Hub

    init(hub: Hub) { self.hub = hub }

    /// Sets whether the log wants unremarkable events.
    func setLogsEverything(_ isWanted: Bool) {
        state.withLock {
            $0.logsEverything = isWanted
            hub.reportsEverything = isWanted || !$0.watchers.isEmpty
        }
    }

    /// Watches the events while the body runs.
    ///
    /// - Parameter body: gets the events, and a function that returns how many were lost.
    func watch(_ body: (AsyncStream<Shared>, _ lost: () -> Int) async throws -> Void) async throws {
        let (events, continuation) = AsyncStream.makeStream(
            of: Shared.self, bufferingPolicy: .bufferingOldest(Self.bufferCount))
        let number = state.withLock { state in
            defer { state.next += 1 }
            state.watchers[state.next] = (continuation, 0)
            hub.reportsEverything = true
            return state.next
        }
        defer {
            state.withLock { state in
                state.watchers[number] = nil
                hub.reportsEverything = state.logsEverything || !state.watchers.isEmpty
            }
        }
        let lostBefore = hub.lostEvents
        try await body(events) {
            Int(clamping: hub.lostEvents - lostBefore) + (state.withLock { $0.watchers[number]?.lost } ?? 0)
        }
    }

    /// Sends an event to every watcher.
    func send(_ event: @autoclosure () -> Event) {
        state.withLock { state in
            guard !state.watchers.isEmpty else { return }
            let event = Shared(event())
            for number in state.watchers.keys {
                if case .dropped = state.watchers[number]!.continuation.yield(event) {
                    state.watchers[number]!.lost += 1
                }
            }
        }
    }
}

extension Event {
    /// The event for the start of a drain.
    init(draining text: String) {
        self.init(.drain, millisecondsSinceEpoch: Clock.milliseconds())
        self.text = text
    }
}
