/// Checks text that arrives in pieces and fails at the first byte that cannot belong to any well-formed
/// UTF-8 (RFC 3629; Unicode, table 3-7), as RFC 6455, section 8.1, demands of a text message.
package struct UTF8Validator: Equatable, Sendable {
    /// The validator's position inside a scalar, which decides what the next byte may be.
    private enum State: UInt8 {
        /// Between scalars.
        case start
        /// One, two or three bytes of 80…BF are missing.
        case one, two, three
        /// After E0, ED, F0, F4: the range of the next byte is narrower (no overlong form, no surrogate, no scalar
        /// above U+10FFFF).
        case afterE0, afterED, afterF0, afterF4
    }

    private var state = State.start

    package init() {}

    /// True if the text so far ends with a whole scalar.
    package var isComplete: Bool { state == .start }

    /// Checks the next piece; false as soon as the text is known to be invalid.
    package mutating func accept(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var position = 0
        while state != .start {
            guard position < bytes.count else { return true }
            guard step(bytes[position]) else { return false }
            position += 1
        }
        guard position < bytes.count else { return true }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
        // The standard library's validator runs at 21 GB/s on ASCII. Single bytes are checked only from where it stops:
        // the scalar there may be invalid, or merely cut off by the end of this piece.
        guard let stop = Self.firstFault(in: rest) else { return true }
        for byte in rest[stop...] {
            guard step(byte) else { return false }
        }
        return true
    }

    /// The offset of the first scalar that is not whole and well-formed; nil if all are.
    private static func firstFault(in bytes: UnsafeRawBufferPointer) -> Int? {
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span)
            return nil
        } catch {
            return error.byteOffsets.lowerBound
        }
    }

    private mutating func step(_ byte: UInt8) -> Bool {
        let allowed: ClosedRange<UInt8>
        let next: State
        switch state {
        case .start:
            switch byte {
            case 0x00...0x7F: state = .start
            case 0xC2...0xDF: state = .one
            case 0xE0: state = .afterE0
            case 0xE1...0xEC, 0xEE...0xEF: state = .two
            case 0xED: state = .afterED
            case 0xF0: state = .afterF0
            case 0xF1...0xF3: state = .three
            case 0xF4: state = .afterF4
            default: return false
            }
            return true
        case .one: (allowed, next) = (0x80...0xBF, .start)
        case .two: (allowed, next) = (0x80...0xBF, .one)
        case .three: (allowed, next) = (0x80...0xBF, .two)
        case .afterE0: (allowed, next) = (0xA0...0xBF, .one)
        case .afterED: (allowed, next) = (0x80...0x9F, .one)
        case .afterF0: (allowed, next) = (0x90...0xBF, .two)
        case .afterF4: (allowed, next) = (0x80...0x8F, .two)
        }
        state = next
        return allowed.contains(byte)
    }
}
