/// A publication that has its place in a channel's order, as plain values: what a history keeps, and what each client
/// protocol puts into its own words when it sends the message. Its bytes are borrowed for the duration of the call.
package struct NumberedPublication {
    /// The kind of a publication, and whether its payload is text or a JSON value. Kept as a number by a history.
    package enum Form: UInt8, Sendable {
        /// A client's message.
        case chatText = 0
        case chatJSON = 1
        /// An operator's or a backend's message.
        case systemText = 2
        case systemJSON = 3
    }

    package var form: Form
    /// The number in the channel's order.
    package var seq: UInt64
    /// The time at which it got its number, in milliseconds since 1970.
    package var time: Int64
    /// The name of the user who published it; empty if no name is shown.
    package var from: UnsafeRawBufferPointer
    /// UTF-8: a JSON value as it was sent, or text.
    package var payload: UnsafeRawBufferPointer

    package init(
        _ form: Form, seq: UInt64, time: Int64, from: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
    ) {
        self.form = form
        self.seq = seq
        self.time = time
        self.from = from
        self.payload = payload
    }

    /// The size of the name and the payload in bytes.
    package var byteCount: Int { from.count + payload.count }
}
