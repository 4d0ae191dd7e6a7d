/// A state that can't be read: it is cut off, or has a value that no `StateWriter` writes.
package struct StateError: Error, Equatable, CustomStringConvertible {
    /// The part or value that is missing or wrong.
    package var what: String
    /// The position in bytes at which reading stopped.
    package var position: Int

    package init(what: String, position: Int) {
        self.what = what
        self.position = position
    }

    package var description: String { "the state is damaged before byte \(position): \(what)" }
}

/// Reads what a `StateWriter` has written, from bytes that may be damaged: every read is checked, and nothing is
/// allocated for more elements than the bytes that are left can hold.
package struct StateReader {
    private let all: UnsafeRawBufferPointer
    private var position = 0

    /// - Parameter bytes: valid as long as the reader is used.
    package init(_ bytes: UnsafeRawBufferPointer) { all = bytes }

    package var isAtEnd: Bool { position == all.count }

    /// An error at the present position.
    package func error(_ what: String) -> StateError { StateError(what: what, position: position) }

    /// Throws if `condition`, on which the value that was read last depends, is false.
    package func require(_ condition: Bool, _ what: @autoclosure () -> String) throws(StateError) {
        guard condition else { throw error(what()) }
    }

    package mutating func byte() throws(StateError) -> UInt8 {
        guard position < all.count else { throw error("it is cut off") }
        defer { position += 1 }
        return all[position]
    }

    package mutating func flag() throws(StateError) -> Bool {
        let byte = try byte()
        guard byte <= 1 else { throw error("a flag of \(byte)") }
        return byte == 1
    }

    /// Reads an unsigned integer that fits into the type.
    package mutating func number<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type = Number.self
    ) throws(StateError) -> Number {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            let bits = UInt64(byte & 0x7F)
            guard shift < 63 || shift == 63 && bits <= 1 else { throw error("a number of more than 64 bits") }
            number |= bits << shift
            if byte & 0x80 == 0 { break }
            shift += 7
        }
        guard let number = Number(exactly: number) else { throw error("a number of \(number) is too large") }
        return number
    }

    /// Reads a count of bytes, or of something that is not in the state.
    package mutating func count(atMost most: Int) throws(StateError) -> Int {
        let count = try number(UInt64.self)
        guard most >= 0, count <= UInt64(clamping: most) else {
            throw error("a count of \(count) is more than \(most)")
        }
        return Int(count)
    }

    /// Reads the number of the elements that follow, each of at least `byteCount` bytes.
    package mutating func elementCount(ofAtLeast byteCount: Int = 1) throws(StateError) -> Int {
        let count = try number(UInt64.self)
        guard count <= UInt64((all.count - position) / max(1, byteCount)) else {
            throw error("a count of \(count) elements is more than there are bytes")
        }
        return Int(count)
    }

    /// Reads a time in milliseconds since 1970, at most in the year 9999; nil if none was written.
    package mutating func time() throws(StateError) -> Int64? {
        let number = try number(UInt64.self)
        guard number > 0 else { return nil }
        guard number <= 253_402_300_800_000 else { throw error("a time after the year 9999") }
        return Int64(number - 1)
    }

    package mutating func fixed() throws(StateError) -> UInt32 {
        guard all.count - position >= 4 else { throw error("it is cut off") }
        defer { position += 4 }
        return UInt32(littleEndian: all.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }

    /// Reads a finite number.
    package mutating func float() throws(StateError) -> Float {
        let number = Float(bitPattern: try fixed())
        guard number.isFinite else { throw error("a number that is not finite") }
        return number
    }

    /// Reads bytes, which are valid as long as the reader's are.
    package mutating func bytes(atMost most: Int = .max) throws(StateError) -> UnsafeRawBufferPointer {
        let count = try number(UInt64.self)
        guard count <= UInt64(all.count - position) else { throw error("it is cut off") }
        guard count <= UInt64(clamping: most) else { throw error("\(count) bytes are more than \(most)") }
        let start = position
        position += Int(count)
        return UnsafeRawBufferPointer(rebasing: all[start..<position])
    }

    package mutating func text(atMost most: Int = .max) throws(StateError) -> String {
        let bytes = try bytes(atMost: most)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw error("text that is not UTF-8") }
        return text
    }

    /// Reads text; nil if none was written.
    package mutating func optionalText(atMost most: Int = .max) throws(StateError) -> String? {
        try flag() ? try text(atMost: most) : nil
    }
}

/// The objects that several parts of a state refer to, as a `SharedWriter` has numbered them.
package struct SharedReader<Object: AnyObject> {
    private var objects: [Object] = []

    package init() {}

    /// Reads a reference, and the object itself with `content` where it is the first one.
    package mutating func read(
        from state: inout StateReader, _ content: (inout StateReader) throws(StateError) -> Object
    ) throws(StateError) -> Object {
        let number = try state.count(atMost: objects.count)
        if number < objects.count { return objects[number] }
        let object = try content(&state)
        objects.append(object)
        return object
    }
}
