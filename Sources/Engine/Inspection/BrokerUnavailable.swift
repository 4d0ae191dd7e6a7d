/// What was asked for is at the broker, and that could not be asked.
package struct BrokerUnavailable: Error {
    /// The reason, for a person.
    package let reason: String
}
