/// Lets few questions at a time walk over all connections or channels, however many ask: each holds the workers up for a
/// moment.
actor Scans {
    private static let places = 2

    private var taken = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Asks when it is its turn.
    func run<Answer: Sendable>(_ ask: @Sendable () async -> Answer) async -> Answer {
        if taken == Self.places {
            await withCheckedContinuation { waiting.append($0) }
        } else {
            taken += 1
        }
        let answer = await ask()
        // The place goes to who waits longest.
        if waiting.isEmpty { taken -= 1 } else { waiting.removeFirst().resume() }
        return answer
    }
}
