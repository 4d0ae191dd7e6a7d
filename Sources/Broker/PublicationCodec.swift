/// A publication as brokers carry it: what other nodes need to deliver it. Its bytes are borrowed for the duration of
/// the call.
package struct CarriedPublication {
    /// The kind of a publication, as the character that stands for it.
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// A client's message, text or a JSON value.
        case chatText = 0x63  // c
        case chatJSON = 0x43  // C
        /// An operator's or a backend's message.
        case systemText = 0x73  // s
        case systemJSON = 0x53  // S
        /// A message that is not text; only clients whose protocol has binary messages get it.
        case binary = 0x62  // b
        /// The user has joined the channel, or left it.
        case join = 0x2B  // +
        case leave = 0x2D  // -

        /// Whether it gets a number in the channel's order.
        package var isNumbered: Bool {
            switch self {
            case .chatText, .chatJSON, .systemText, .systemJSON: true
            case .binary, .join, .leave: false
            }
        }
    }

    package var kind: Kind
    /// The time at which it was published, in milliseconds since 1970.
    package var time: Int64
    /// The user who published it, joined or left; empty if no name is shown.
    package var user: UnsafeRawBufferPointer
    package var payload: UnsafeRawBufferPointer

    package init(_ kind: Kind, time: Int64, user: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
        self.kind = kind
        self.time = time
        self.user = user
        self.payload = payload
    }
}

/// Writes publications one after the other, each as wsd-broker(7) describes: the character of its kind (1 byte), its
/// time (8), the sizes of the user's name (2) and of the payload (4), big-endian, then the name and the payload.
package struct PublicationWriter: Sendable {
    package static let headerByteCount = 15

    package private(set) var bytes: [UInt8] = []
    /// The number of publications that get a number.
    package private(set) var numberedCount = 0

    package init() {}

    package var isEmpty: Bool { bytes.isEmpty }

    /// Adds a publication. A name of more than 65,535 bytes or a payload of more than 4 GiB, which no client can send,
    /// is cut.
    package mutating func append(_ publication: CarriedPublication) {
        let user = publication.user.prefix(Int(UInt16.max))
        let payload = publication.payload.prefix(Int(UInt32.max))
        bytes.reserveCapacity(bytes.count + Self.headerByteCount + user.count + payload.count)
        bytes.append(publication.kind.rawValue)
        append(UInt64(bitPattern: publication.time))
        append(UInt16(truncatingIfNeeded: user.count))
        append(UInt32(truncatingIfNeeded: payload.count))
        bytes.append(contentsOf: user)
        bytes.append(contentsOf: payload)
        if publication.kind.isNumbered { numberedCount += 1 }
    }

    /// Frees the bytes, which are not needed any more; the count stays.
    package mutating func discardBytes() { bytes = [] }

    private mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

extension PublicationWriter {
    /// The announcement of a user who came or left.
    package static func announcement(
        _ kind: CarriedPublication.Kind, _ user: String, _ time: Int64
    ) -> [UInt8] {
        var writer = PublicationWriter()
        var user = user
        user.withUTF8 { name in
            writer.append(
                CarriedPublication(
                    kind, time: time, user: UnsafeRawBufferPointer(name),
                    payload: UnsafeRawBufferPointer(start: nil, count: 0)))
        }
        return writer.bytes
    }
}

/// Reads what a `PublicationWriter` or another program wrote.
package enum PublicationReader {
    /// Passes the publications to `body`, in order. False if the bytes are damaged; then nothing is passed.
    package static func forEach(_ bytes: [UInt8], _ body: (CarriedPublication) -> Void) -> Bool {
        bytes.withUnsafeBytes { bytes in
            guard walk(bytes, { _ in }) else { return false }
            return walk(bytes, body)
        }
    }

    /// The number of publications with a number; nil if the bytes are damaged.
    package static func numberedCount(in bytes: [UInt8]) -> Int? {
        var count = 0
        return forEach(bytes) { if $0.kind.isNumbered { count += 1 } } ? count : nil
    }

    private static func walk(_ bytes: UnsafeRawBufferPointer, _ body: (CarriedPublication) -> Void) -> Bool {
        var position = 0
        while position < bytes.count {
            guard bytes.count - position >= PublicationWriter.headerByteCount,
                let kind = CarriedPublication.Kind(rawValue: bytes[position])
            else { return false }
            let time = Int64(bigEndian: bytes.loadUnaligned(fromByteOffset: position + 1, as: Int64.self))
            let userCount = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: position + 9, as: UInt16.self)))
            let count = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: position + 11, as: UInt32.self)))
            position += PublicationWriter.headerByteCount
            guard bytes.count - position >= userCount + count else { return false }
            let user = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + userCount)])
            let payload = UnsafeRawBufferPointer(
                rebasing: bytes[(position + userCount)..<(position + userCount + count)])
            body(CarriedPublication(kind, time: time, user: user, payload: payload))
            position += userCount + count
        }
        return true
    }
}
