import Base

/// The file by which a process hands its connections and channels to the next one, perhaps of another version.
///
///     offset  size
///          0     8  "wsdpark\n"
///          8     4  the version of the format
///         12     4  the number of sections, n
///         16     8  the size of the whole file
///         24  16 n  of each section: its size, and its checksum
///     24+16n     8  the checksum of everything before it
///     32+16n        the sections, one after the other
///
/// Numbers are little-endian. The first section is a `ParkedHead`; each of the others is what one worker had
/// (`ShardWriter`), written by a `StateWriter`. A version is readable as long as `ParkingFile.versions` has it. Within a
/// version, values may be added at the end of the head and of each connection, where older readers don't look.
///
/// Nothing of a file is believed before all of it has been checked against the checksums.
struct ParkingFile {
    /// The version that is written.
    static let version: UInt32 = 1
    /// The versions that can be read.
    static let versions: ClosedRange<UInt32> = 1...1
    /// The maximum number of sections: the head, and one for each worker.
    private static let maximumSectionCount = 1 + Hub.maximumWorkerCount

    private static let magic = Array("wsdpark\n".utf8)
    private static let headByteCount = 24
    private static let entryByteCount = 16

    /// The sections, valid as long as the file's bytes are.
    let sections: [UnsafeRawBufferPointer]

    /// The front of a file with these sections, each in pieces, which follow it.
    static func front(of sections: [[[UInt8]]]) -> [UInt8] {
        let frontByteCount = headByteCount + sections.count * entryByteCount + 8
        var front = magic
        append(version, to: &front)
        append(UInt32(clamping: sections.count), to: &front)
        let sizes = sections.map { $0.reduce(0) { $0 + $1.count } }
        append(UInt64(clamping: sizes.reduce(frontByteCount, +)), to: &front)
        for (section, size) in zip(sections, sizes) {
            var sum = StateChecksum(ofByteCount: size)
            for piece in section { piece.withUnsafeBytes { sum.add($0) } }
            append(UInt64(clamping: size), to: &front)
            append(sum.finish(), to: &front)
        }
        append(front.withUnsafeBytes { StateChecksum.of($0) }, to: &front)
        return front
    }

    /// Checks a whole file.
    init(_ bytes: UnsafeRawBufferPointer) throws(StateError) {
        func require(_ condition: Bool, _ what: String, at position: Int) throws(StateError) {
            guard condition else { throw StateError(what: what, position: position) }
        }
        func number(at position: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        }
        func word(at position: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
        }
        try require(bytes.count >= Self.headByteCount, "it is cut off", at: 0)
        try require(bytes.prefix(Self.magic.count).elementsEqual(Self.magic), "it is no state of wsd", at: 0)
        let version = word(at: 8)
        try require(Self.versions.contains(version), "a format of version \(version)", at: 8)
        let count = Int(word(at: 12))
        try require(1...Self.maximumSectionCount ~= count, "\(count) sections", at: 12)
        let front = Self.headByteCount + count * Self.entryByteCount
        try require(bytes.count >= front + 8 && number(at: 16) == UInt64(bytes.count), "it is cut off", at: 16)
        let sum = StateChecksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<front]))
        try require(number(at: front) == sum, "a checksum that differs", at: front)
        var sections: [UnsafeRawBufferPointer] = []
        var start = front + 8
        for index in 0..<count {
            let entry = Self.headByteCount + index * Self.entryByteCount
            let size = number(at: entry)
            try require(size <= UInt64(bytes.count - start), "a section that is too long", at: entry)
            let section = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + Int(size))])
            try require(StateChecksum.of(section) == number(at: entry + 8), "a checksum that differs", at: start)
            sections.append(section)
            start += section.count
        }
        try require(start == bytes.count, "more than the sections", at: start)
        self.sections = sections
    }

    private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
