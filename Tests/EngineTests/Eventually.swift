import Testing

/// Waits until something is so.
func eventually(_ isSo: () async throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let deadline = ContinuousClock.now + .seconds(240)
    while try await !isSo() {
        guard ContinuousClock.now < deadline else {
            Issue.record("it never came to be so", sourceLocation: sourceLocation)
            return
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}
