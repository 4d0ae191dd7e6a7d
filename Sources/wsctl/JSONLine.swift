import FoundationEssentials
import Varlink

/// A value as one line of JSON.
enum JSONLine {
    /// The line, without its end. JSON permits DEL and the C1 control characters unescaped, but some terminals obey
    /// them, so they are written as escapes, which mean the same.
    static func bytes(_ value: some Encodable) throws -> [UInt8] {
        var line: [UInt8] = []
        var precededByC2 = false
        for byte in try VarlinkJSON.encode(value) {
            if precededByC2, (0x80...0x9f).contains(byte) {
                line.removeLast()
                line += escape(byte)
            } else if byte == 0x7f {
                line += escape(byte)
            } else {
                line.append(byte)
            }
            precededByC2 = byte == 0xc2
        }
        return line
    }

    private static func escape(_ byte: UInt8) -> [UInt8] {
        Array("\\u00".utf8) + Array(String(byte, radix: 16).utf8)
    }
}
