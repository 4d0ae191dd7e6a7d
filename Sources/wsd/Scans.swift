/// Limits how many requests walk over all connections or channels at the same time, because each delays the workers for
/// a moment.
actor Scans {
    private static let places = 2

    private var taken = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Runs a scan as soon as a place is free.
    func run<Response: Sendable, Failure>(
        _ ask: @Sendable () async throws(Failure) -> Response
    ) async throws(Failure) -> Response {
        if taken == Self.places {
            await withCheckedContinuation { waiting.append($0) }
        } else {
            taken += 1
        }
        // The place goes to the request that has waited longest.
        defer { if waiting.isEmpty { taken -= 1 } else { waiting.removeFirst().resume() } }
        return try await ask()
    }
}
