/// Writes messages in the wire format of Protocol Buffers, as far as profiles need it: varints and length-delimited
/// fields.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// A number; the default, 0, is omitted.
    mutating func field(_ number: Int, _ value: UInt64) {
        guard value != 0 else { return }
        varint(UInt64(number << 3))
        varint(value)
    }

    mutating func field(_ number: Int, _ value: [UInt8]) {
        varint(UInt64(number << 3 | 2))
        varint(UInt64(value.count))
        bytes += value
    }

    /// Numbers in one packed field.
    mutating func field(_ number: Int, packed values: [UInt64]) {
        var writer = ProtobufWriter()
        for value in values { writer.varint(value) }
        field(number, writer.bytes)
    }

    mutating func message(_ number: Int, _ body: (inout ProtobufWriter) -> Void) {
        var writer = ProtobufWriter()
        body(&writer)
        field(number, writer.bytes)
    }
}
