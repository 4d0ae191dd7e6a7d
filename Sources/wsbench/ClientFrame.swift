import WebSocket

/// Frames in the form that clients send (RFC 6455, section 5.2).
enum ClientFrame {
    /// Writes a header with its masking key, and returns its length, at most 14.
    static func writeHeader(
        _ firstByte: UInt8, payloadByteCount count: Int, maskingKey: UInt32, to target: UnsafeMutableRawPointer
    ) -> Int {
        target.storeBytes(of: firstByte, as: UInt8.self)
        var length = 2
        if count < 126 {
            target.storeBytes(of: 0x80 | UInt8(count), toByteOffset: 1, as: UInt8.self)
        } else if count <= 0xFFFF {
            target.storeBytes(of: 0xFE, toByteOffset: 1, as: UInt8.self)
            target.storeBytes(of: UInt16(count).bigEndian, toByteOffset: 2, as: UInt16.self)
            length = 4
        } else {
            target.storeBytes(of: 0xFF, toByteOffset: 1, as: UInt8.self)
            target.storeBytes(of: UInt64(count).bigEndian, toByteOffset: 2, as: UInt64.self)
            length = 10
        }
        target.storeBytes(of: maskingKey.littleEndian, toByteOffset: length, as: UInt32.self)
        return length + 4
    }

    /// A complete control frame; its payload has at most 125 bytes.
    static func control(_ opcode: Opcode, _ payload: some Collection<UInt8>) -> [UInt8] {
        let key = UInt32.random(in: 1...UInt32.max)
        var frame = [UInt8](repeating: 0, count: 6) + payload
        frame.withUnsafeMutableBytes { bytes in
            let start = writeHeader(
                0x80 | opcode.rawValue, payloadByteCount: payload.count, maskingKey: key, to: bytes.baseAddress!)
            _ = Masking.remove(key, from: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
        }
        return frame
    }
}
