import NIOCore

/// A message that a server delivers.
struct NATSMessage: Equatable {
    var subject: String
    /// The number of the subscription that it is for.
    var subscription: UInt64
    /// The subject that answers go to; empty if none is expected.
    var reply = ""
    var header = NATSHeader()
    var payload = ByteBuffer()

    /// What is said in place of an answer; nil for an answer. What a program stores may begin with any: where a message of
    /// a stream may come, its place there is looked at first.
    var status: Int? { header.status }

    /// Whether the server says that nobody listens on the subject of a request. Some servers name it in a second line.
    var isFromNobody: Bool {
        status == 503 && payload.readableBytes == 0 && header.number("Nats-Sequence", isLast: true) == nil
    }
}

/// The header lines of a message, as they were sent.
struct NATSHeader: Equatable {
    private var bytes: ByteBuffer

    init(_ bytes: ByteBuffer = ByteBuffer()) { self.bytes = bytes }

    var byteCount: Int { bytes.readableBytes }

    /// The number of lines with a name, at most.
    var lineCount: Int { max(0, bytes.readableBytesView.count { $0 == 0x0A } - 2) }

    /// The number after the version in the first line; nil if there is none.
    var status: Int? {
        let line = bytes.readableBytesView.prefix { $0 != 0x0D && $0 != 0x0A }
        let rest = line.drop { $0 != 0x20 }.drop { $0 == 0x20 }.prefix { $0 != 0x20 }
        return rest.isEmpty ? nil : Int(String(decoding: rest, as: UTF8.self))
    }

    /// What follows the number in the first line.
    var statusText: String {
        let line = bytes.readableBytesView.prefix { $0 != 0x0D && $0 != 0x0A }
        let words = line.split(separator: 0x20, maxSplits: 2)
        return words.count < 3 ? "" : String(decoding: words[2], as: UTF8.self)
    }

    /// The lines with a name, each with the first value that it has.
    var fields: [String: [UInt8]] {
        var fields: [String: [UInt8]] = [:]
        for line in bytes.readableBytesView.split(separator: 0x0A).dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let name = String(decoding: line[..<colon], as: UTF8.self)
            if fields[name] == nil { fields[name] = Array(Self.trimmed(line[(colon + 1)...])) }
        }
        return fields
    }

    /// The value of the first line with a name.
    subscript(_ name: StaticString) -> String? {
        value(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The value of a line that is a number.
    func number(_ name: StaticString, isLast: Bool = false) -> UInt64? {
        guard let digits = value(name, isLast: isLast), !digits.isEmpty, digits.count <= 19 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard 0x30...0x39 ~= digit else { return nil }
            number = number &* 10 &+ UInt64(digit &- 0x30)
        }
        return number
    }

    /// The value of the last line with a name: a server puts its own behind those of the message.
    func last(_ name: StaticString) -> String? {
        value(name, isLast: true).map { String(decoding: $0, as: UTF8.self) }
    }

    private func value(_ name: StaticString, isLast: Bool = false) -> ByteBufferView? {
        let view = bytes.readableBytesView
        let count = name.utf8CodeUnitCount
        return name.withUTF8Buffer { name in
            var start = view.startIndex
            var found: ByteBufferView?
            while start < view.endIndex {
                let end = view[start...].firstIndex(of: 0x0A) ?? view.endIndex
                let line = view[start..<end]
                if line.count > count, line[start + count] == UInt8(ascii: ":"), line.prefix(count).elementsEqual(name)
                {
                    found = Self.trimmed(line[(start + count + 1)...])
                    if !isLast { break }
                }
                start = end + 1
            }
            return found
        }
    }

    private static func trimmed(_ text: ByteBufferView) -> ByteBufferView {
        var value = text.drop { $0 == 0x20 }
        while let last = value.last, last == 0x0D || last == 0x20 { value = value.dropLast() }
        return value
    }
}
