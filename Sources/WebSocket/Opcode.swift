/// The kind of a frame (RFC 6455, section 5.2).
package enum Opcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Control frames are at most 125 bytes long and never fragmented (RFC 6455, section 5.5).
    package var isControl: Bool { rawValue & 0x8 != 0 }
}
