/// The limits of a channel's history.
package struct HistoryLimits: Equatable, Sendable {
    package var messageCount: Int
    /// The maximum age in milliseconds.
    package var age: Int64
    package var byteCount: Int

    package init(messageCount: Int, age: Int64, byteCount: Int) {
        self.messageCount = messageCount
        self.age = age
        self.byteCount = byteCount
    }
}
