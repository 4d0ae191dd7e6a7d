/// Resident bytes of the server along the run; nil where they weren't taken.
struct Memory: Sendable {
    var before: Int?
    var open: Int?
    var peak: Int?
    /// After what was published has been received.
    var after: Int?
    /// After the pause for memory to return.
    var returned: Int?
    var closed: Int?

    /// What the open connections have added, each.
    func perConnection(_ bytes: Int?, count: Int) -> Double? {
        guard let before, let bytes, count > 0 else { return nil }
        return Double(bytes - before) / Double(count)
    }
}
