/// Consecutive publications of a history that no longer change. The history and the connections that are sent these
/// messages share the block, so that a message that waits to be sent costs only a reference.
package final class HistoryBlock: Sendable {
    /// A publication besides its bytes, in 16 bytes. Its number follows from its place.
    struct Entry {
        /// The end of its name and payload among the bytes.
        var end: UInt32
        /// The size of the name, and the form in the lowest two bits.
        private let nameAndForm: UInt32
        /// Milliseconds since 1970.
        let time: Int64

        /// The largest size of a name and payload that an entry can describe, before and behind other messages.
        static let largestByteCount = 1 << 30 - 1

        /// - Parameters:
        ///   - end: at most twice the largest size.
        ///   - nameByteCount: at most the largest size.
        init(end: Int, nameByteCount: Int, form: NumberedPublication.Form, time: Int64) {
            self.end = UInt32(truncatingIfNeeded: end)
            nameAndForm = UInt32(truncatingIfNeeded: nameByteCount) << 2 | UInt32(form.rawValue)
            self.time = time
        }

        var nameByteCount: Int { Int(nameAndForm >> 2) }
        var form: NumberedPublication.Form { .init(rawValue: UInt8(nameAndForm & 3)) ?? .chatText }
    }

    let bytes: [UInt8]
    let entries: [Entry]
    private let meter: ByteMeter?

    init(bytes: [UInt8], entries: [Entry], meter: ByteMeter?) {
        self.bytes = bytes
        self.entries = entries
        self.meter = meter
        meter?.add(heldByteCount)
    }

    deinit { meter?.add(-heldByteCount) }

    private var heldByteCount: Int {
        bytes.capacity + entries.capacity * MemoryLayout<Entry>.stride + HistoryBlock.overhead
    }

    /// The headers of the block's objects and malloc's.
    private static let overhead = 144

    var count: Int { entries.count }

    func withPublication<Result>(_ index: Int, seq: UInt64, _ body: (NumberedPublication) -> Result) -> Result {
        entries.withPublication(index, seq: seq, bytes, body)
    }
}

extension [HistoryBlock.Entry] {
    /// The range of a publication's bytes.
    func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : Int(self[index - 1].end))..<Int(self[index].end) }

    /// Passes a publication to `body`.
    func withPublication<Result>(
        _ index: Int, seq: UInt64, _ bytes: [UInt8], _ body: (NumberedPublication) -> Result
    ) -> Result {
        let entry = self[index]
        let range = range(index)
        let middle = range.lowerBound + entry.nameByteCount
        return bytes.withUnsafeBytes { bytes in
            body(
                NumberedPublication(
                    entry.form, seq: seq, time: entry.time,
                    from: UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound..<middle]),
                    payload: UnsafeRawBufferPointer(rebasing: bytes[middle..<range.upperBound])))
        }
    }
}
