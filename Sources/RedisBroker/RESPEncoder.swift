import NIOCore

/// One argument of a command.
enum RESPArgument: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case text(String)
    case bytes([UInt8])
    case number(Int64)

    init(stringLiteral text: String) { self = .text(text) }
    init(integerLiteral number: Int64) { self = .number(number) }
}

extension ByteBuffer {
    /// Writes a command as Redis takes them: an array of bulk strings.
    mutating func writeCommand(_ arguments: [RESPArgument]) {
        writeCommandHead(arguments.count)
        for argument in arguments { writeArgument(argument) }
    }

    mutating func writeArgument(_ argument: RESPArgument) {
        switch argument {
        case .text(let text): writeArgument(text)
        case .bytes(let bytes): writeArgument(bytes)
        case .number(let number): writeArgument(number)
        }
    }

    /// Writes the beginning of a command; as many arguments must follow.
    mutating func writeCommandHead(_ argumentCount: Int) {
        writeInteger(UInt8(ascii: "*"))
        writeLine(argumentCount)
    }

    mutating func writeArgument(_ text: String) {
        writeCount(text.utf8.count)
        writeString(text)
        writeLineEnd()
    }

    mutating func writeArgument(_ bytes: [UInt8]) {
        writeCount(bytes.count)
        writeBytes(bytes)
        writeLineEnd()
    }

    mutating func writeArgument(_ number: some BinaryInteger) { writeArgument("\(number)") }

    private mutating func writeCount(_ count: Int) {
        writeInteger(UInt8(ascii: "$"))
        writeLine(count)
    }

    private mutating func writeLine(_ count: Int) {
        if count < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: count))
        } else {
            writeString("\(count)")
        }
        writeLineEnd()
    }

    private mutating func writeLineEnd() { writeInteger(0x0D0A as UInt16) }
}
