import Synchronization

/// Reads the answers to challenges on a thread of its own: a file system that hangs, such as that of a server which is gone,
/// would stop a worker.
///
/// The thread begins with the first and ends with the last that waits.
final class ChallengeReader: Sendable {
    /// The number of those that wait at most.
    static let maximumCount = 64

    private struct Lookup {
        var read: @Sendable () -> [UInt8]?
        var then: @Sendable ([UInt8]?) -> Void
    }

    private struct State {
        var waiting: [Lookup] = []
        var isReading = false
    }

    private let state = Mutex(State())

    /// Reads an answer, and passes on from the thread what came of it. False if too many wait.
    func read(_ read: @escaping @Sendable () -> [UInt8]?, then: @escaping @Sendable ([UInt8]?) -> Void) -> Bool {
        let (isTaken, begins) = state.withLock { state in
            guard state.waiting.count < Self.maximumCount else { return (false, false) }
            state.waiting.append(Lookup(read: read, then: then))
            defer { state.isReading = true }
            return (true, !state.isReading)
        }
        return begins ? begin() : isTaken
    }

    /// Starts the thread; false if there is none to be had, and then nothing waits.
    private func begin() -> Bool {
        guard DetachedThread.start(named: "wsd-challenges", run) == 0 else {
            let waiting = state.withLock { state in
                defer { state = State() }
                return state.waiting
            }
            for lookup in waiting.dropFirst() { lookup.then(nil) }
            return false
        }
        return true
    }

    @Sendable private func run() {
        while let next = takeNext() { next.then(next.read()) }
    }

    private func takeNext() -> Lookup? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isReading = false
                return nil
            }
            return state.waiting.removeFirst()
        }
    }
}
