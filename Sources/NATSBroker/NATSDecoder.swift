import NIOCore

/// What a server sends.
enum NATSOperation: Equatable {
    /// What the server says of itself, as JSON.
    case info(ByteBuffer)
    case message(NATSMessage)
    case ping
    case pong
    case ok
    case error(String)
}

/// Why what a server sent is not NATS' protocol, or more than is expected of it.
struct NATSError: Error, Equatable, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Takes operations out of the bytes that a server sends, however they are cut.
struct NATSDecoder {
    /// The limits of what is accepted.
    struct Limits {
        /// The bytes of a line, without its end.
        var lineByteCount = 65_536
        /// The bytes of a message with its header, which may be all of it: the server limits both together.
        var messageByteCount = 64 << 20
    }

    /// A message whose line has come.
    private struct Pending {
        var message: NATSMessage
        var headerByteCount: Int
        var byteCount: Int
    }

    private let limits: Limits
    private var input = ByteBuffer()
    /// The bytes at the front that have no end of a line.
    private var scannedByteCount = 0
    private var pending: Pending?

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Whether everything that came has been taken.
    var isEmpty: Bool { input.readableBytes == 0 && pending == nil }

    mutating func append(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            if input.readerIndex > 65_536 { input.discardReadBytes() }
            input.writeImmutableBuffer(bytes)
        }
    }

    /// The next operation; nil if it has not been received as a whole.
    mutating func next() throws(NATSError) -> NATSOperation? {
        if let pending { return try finish(pending) }
        let view = input.readableBytesView
        guard let end = view[(view.startIndex + scannedByteCount)...].firstIndex(of: 0x0A) else {
            scannedByteCount = view.count
            guard view.count <= limits.lineByteCount else { throw NATSError("a line without end") }
            return nil
        }
        scannedByteCount = 0
        var count = end - view.startIndex
        guard count <= limits.lineByteCount + 1, var line = input.readSlice(length: count) else {
            throw NATSError("a line of \(count) bytes")
        }
        input.moveReaderIndex(forwardBy: 1)
        if line.readableBytesView.last == 0x0D { count -= 1 }
        guard let content = line.readSlice(length: count) else { return nil }
        return try operation(content)
    }

    private mutating func operation(_ line: ByteBuffer) throws(NATSError) -> NATSOperation? {
        let view = line.readableBytesView
        let word = view.prefix { $0 != 0x20 && $0 != 0x09 }
        let rest = view[word.endIndex...].drop { $0 == 0x20 || $0 == 0x09 }
        switch String(decoding: word.prefix(8), as: UTF8.self).uppercased() {
        case "MSG": return try begin(rest, hasHeader: false)
        case "HMSG": return try begin(rest, hasHeader: true)
        case "PING": return .ping
        case "PONG": return .pong
        case "+OK": return .ok
        case "INFO": return .info(ByteBuffer(rest))
        case "-ERR":
            let text = rest.filter { $0 != UInt8(ascii: "'") }
            return .error(String(decoding: text.prefix(500), as: UTF8.self))
        case let other:
            throw NATSError("the operation \"\(other.unicodeScalars.filter { $0.isASCII && $0.value > 32 })\"")
        }
    }

    private mutating func begin(_ text: ByteBufferView, hasHeader: Bool) throws(NATSError) -> NATSOperation? {
        let words = text.split { $0 == 0x20 || $0 == 0x09 }
        let least = hasHeader ? 4 : 3
        guard words.count == least || words.count == least + 1, let subscription = Self.number(words[1]),
            let size = Self.number(words[words.count - 1])
        else { throw NATSError("a message without its numbers") }
        let headerSize = hasHeader ? Self.number(words[words.count - 2]) : 0
        guard let headerSize, headerSize <= size, size <= UInt64(limits.messageByteCount) else {
            throw NATSError("a message of \(size) bytes, \(headerSize ?? 0) of them its header")
        }
        var message = NATSMessage(subject: String(decoding: words[0], as: UTF8.self), subscription: subscription)
        if words.count > least { message.reply = String(decoding: words[2], as: UTF8.self) }
        let pending = Pending(message: message, headerByteCount: Int(headerSize), byteCount: Int(size))
        self.pending = pending
        return try finish(pending)
    }

    private mutating func finish(_ pending: Pending) throws(NATSError) -> NATSOperation? {
        guard input.readableBytes >= pending.byteCount + 2 else { return nil }
        self.pending = nil
        guard let header = input.readSlice(length: pending.headerByteCount),
            let payload = input.readSlice(length: pending.byteCount - pending.headerByteCount),
            input.readBytes(length: 2) == [0x0D, 0x0A]
        else { throw NATSError("a message that does not end where it should") }
        var message = pending.message
        message.header = NATSHeader(header)
        message.payload = payload
        return .message(message)
    }

    private static func number(_ digits: ByteBufferView) -> UInt64? {
        guard !digits.isEmpty, digits.count <= 18 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard 0x30...0x39 ~= digit else { return nil }
            number = number * 10 + UInt64(digit - 0x30)
        }
        return number
    }
}
