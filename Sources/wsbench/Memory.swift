/// Resident bytes of the server during the run; nil if they weren't sampled.
struct Memory: Sendable {
    var before: Int?
    var open: Int?
    var peak: Int?
    /// After the published messages have been received.
    var after: Int?
    /// After the pause for memory to be released.
    var returned: Int?
    var closed: Int?

    /// The memory added by each open connection.
    func perConnection(_ bytes: Int?, count: Int) -> Double? {
        guard let before, let bytes, count > 0 else { return nil }
        return Double(bytes - before) / Double(count)
    }
}
