import NIOCore

/// Why what a server sent is no RESP, or more than is expected of Redis.
struct RESPError: Error, Equatable, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Takes values out of the bytes that Redis sends, however they are cut.
struct RESPDecoder {
    /// The limits of what is accepted.
    struct Limits {
        /// The levels of aggregates in each other.
        var depth = 16
        /// The bytes of a line, without its end.
        var lineByteCount = 65_536
        /// The bytes of a string. A longer one is read as null, and none of it is kept.
        var stringByteCount = 64 << 20
        /// The bytes of a value with all that is in it.
        var valueByteCount = 256 << 20
        /// The values that are in a value.
        var elementCount = 8 << 20
    }

    private enum Kind: UInt8 {
        case array = 0x2A  // *
        case set = 0x7E  // ~
        case map = 0x25  // %
        case push = 0x3E  // >
        case attribute = 0x7C  // |
    }

    /// An aggregate some of whose elements are missing.
    private struct Unfinished {
        var kind: Kind
        var missingCount: Int
        var elements: [RESPValue] = []
    }

    private let limits: Limits
    /// What has been received and is not part of a value yet.
    private var input = ByteBuffer()
    /// The aggregates that are being read, the outermost first.
    private var unfinished: [Unfinished] = []
    /// The bytes and the elements of the present value so far.
    private var byteCount = 0
    private var elementCount = 0
    /// The bytes that are still to come of a string that is too long, with its end; nil if none is being read.
    private var skippedCount: Int?

    init(limits: Limits = Limits()) { self.limits = limits }

    mutating func append(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            if input.readerIndex > 65_536 { input.discardReadBytes() }
            input.writeImmutableBuffer(bytes)
        }
    }

    /// The next value; nil if it has not been received as a whole.
    mutating func next() throws(RESPError) -> RESPValue? {
        while let element = try element() {
            switch element {
            case .opened: continue
            case .value(let value): if let value = add(value) { return value }
            }
        }
        return nil
    }

    /// Adds a value to the innermost aggregate, which may complete that and those around it. The value if it is not part
    /// of any.
    private mutating func add(_ value: RESPValue) -> RESPValue? {
        var value = value
        while var innermost = unfinished.popLast() {
            innermost.elements.append(value)
            innermost.missingCount -= 1
            guard innermost.missingCount == 0 else {
                unfinished.append(innermost)
                return nil
            }
            // Attributes say something about the value after them, and nothing that is needed here.
            guard let finished = Self.value(innermost.kind, innermost.elements) else { return nil }
            value = finished
        }
        byteCount = 0
        elementCount = 0
        return value
    }

    private static func value(_ kind: Kind, _ elements: [RESPValue]) -> RESPValue? {
        switch kind {
        case .array: .array(elements)
        case .set: .set(elements)
        case .map: .map(elements)
        case .push: .push(elements)
        case .attribute: nil
        }
    }

    private enum Element {
        case value(RESPValue)
        /// The beginning of an aggregate.
        case opened
    }

    private mutating func element() throws(RESPError) -> Element? {
        if skippedCount != nil { return skip() }
        guard let (type, line) = try line() else { return nil }
        switch type {
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"): return try string(type, line)
        case Kind.array.rawValue, Kind.set.rawValue, Kind.map.rawValue, Kind.push.rawValue, Kind.attribute.rawValue:
            return try aggregate(type, line)
        default:
            let value = try simple(type, line)
            try consume(line.readableBytes + 3)
            return .value(value)
        }
    }

    /// The type and the rest of the next line, which is not consumed; nil if it has no end yet.
    private func line() throws(RESPError) -> (type: UInt8, ByteBuffer)? {
        let view = input.readableBytesView
        guard let type = view.first else { return nil }
        let line = view.dropFirst()
        guard let end = line.prefix(limits.lineByteCount + 1).firstIndex(of: 0x0D) else {
            if line.count > limits.lineByteCount {
                throw RESPError("a line of more than \(limits.lineByteCount) bytes")
            }
            return nil
        }
        guard end + 1 < view.endIndex else { return nil }
        guard view[end + 1] == 0x0A else { throw RESPError("a line that does not end in CR LF") }
        return (type, ByteBuffer(line[..<end]))
    }

    private mutating func consume(_ count: Int) throws(RESPError) {
        input.moveReaderIndex(forwardBy: count)
        byteCount += count
        elementCount += 1
        if byteCount > limits.valueByteCount { throw RESPError("a value of more than \(limits.valueByteCount) bytes") }
        if elementCount > limits.elementCount {
            throw RESPError("a value of more than \(limits.elementCount) elements")
        }
    }

    private mutating func string(_ type: UInt8, _ line: ByteBuffer) throws(RESPError) -> Element? {
        guard let count = try Self.count(line) else {
            try consume(line.readableBytes + 3)
            return .value(.null)
        }
        guard count <= limits.stringByteCount else {
            try consume(line.readableBytes + 3)
            skippedCount = count + 2
            return skip()
        }
        let start = input.readerIndex + line.readableBytes + 3
        guard input.writerIndex - start >= count + 2 else { return nil }
        guard input.getInteger(at: start + count, as: UInt16.self) == 0x0D0A,
            var bytes = input.getSlice(at: start, length: count)
        else { throw RESPError("a string that does not end in CR LF") }
        try consume(line.readableBytes + 3 + count + 2)
        switch type {
        case UInt8(ascii: "!"): return .value(.error(RedisError(String(buffer: bytes))))
        case UInt8(ascii: "="):
            guard count >= 4, bytes.getInteger(at: bytes.readerIndex + 3, as: UInt8.self) == UInt8(ascii: ":") else {
                throw RESPError("a verbatim string without its kind")
            }
            bytes.moveReaderIndex(forwardBy: 4)
            return .value(.string(bytes))
        default: return .value(.string(bytes))
        }
    }

    /// Drops what has been received of a string that is too long; null once it has come as a whole.
    private mutating func skip() -> Element? {
        let missing = skippedCount ?? 0
        let count = min(missing, input.readableBytes)
        input.moveReaderIndex(forwardBy: count)
        skippedCount = count < missing ? missing - count : nil
        return skippedCount == nil ? .value(.null) : nil
    }

    private mutating func aggregate(_ type: UInt8, _ line: ByteBuffer) throws(RESPError) -> Element? {
        guard let kind = Kind(rawValue: type) else { throw RESPError("the type \(type)") }
        let count = try Self.count(line)
        guard unfinished.count < limits.depth else { throw RESPError("more than \(limits.depth) levels") }
        if kind == .push, !unfinished.isEmpty { throw RESPError("a push within a value") }
        try consume(line.readableBytes + 3)
        guard let count else { return .value(.null) }
        guard count <= limits.elementCount else { throw RESPError("a value of \(count) elements") }
        let elementCount = kind == .map || kind == .attribute ? 2 * count : count
        guard elementCount > 0 else {
            return Self.value(kind, []).map(Element.value) ?? .opened
        }
        unfinished.append(Unfinished(kind: kind, missingCount: elementCount))
        return .opened
    }

    private func simple(_ type: UInt8, _ line: ByteBuffer) throws(RESPError) -> RESPValue {
        switch type {
        case UInt8(ascii: "+"): return .string(line)
        case UInt8(ascii: "-"): return .error(RedisError(String(buffer: line)))
        case UInt8(ascii: ":"):
            guard let number = Int64(String(buffer: line)) else { throw RESPError("no integer") }
            return .integer(number)
        case UInt8(ascii: "_") where line.readableBytes == 0: return .null
        case UInt8(ascii: "#"):
            switch String(buffer: line) {
            case "t": return .boolean(true)
            case "f": return .boolean(false)
            default: throw RESPError("no boolean")
            }
        case UInt8(ascii: ","):
            guard let number = Double(String(buffer: line)) else { throw RESPError("no number") }
            return .double(number)
        case UInt8(ascii: "("):
            let text = String(buffer: line)
            guard text.utf8.drop(while: { $0 == 0x2B || $0 == 0x2D }).allSatisfy({ 0x30...0x39 ~= $0 }) else {
                throw RESPError("no big number")
            }
            return .bigNumber(text)
        default: throw RESPError("a value that begins with the byte \(type)")
        }
    }

    /// The count at the beginning of a string or an aggregate; nil for -1, RESP2's null.
    private static func count(_ line: ByteBuffer) throws(RESPError) -> Int? {
        var count = 0
        let view = line.readableBytesView
        if view.elementsEqual([0x2D, 0x31]) { return nil }
        guard !view.isEmpty, view.count <= 12 else { throw RESPError("no count of bytes or elements") }
        for byte in view {
            guard 0x30...0x39 ~= byte else { throw RESPError("no count of bytes or elements") }
            count = count * 10 + Int(byte - 0x30)
        }
        return count
    }
}
