internal import Glibc

/// The needed parts of a 64-bit ELF file in this machine's byte order (elf(5)). The file is mapped as long as this
/// object lives.
final class ELFFile {
    /// A function.
    struct Symbol {
        var address: UInt64
        var size: UInt64
        /// The offset of its name in the file.
        var name: Int
    }

    private static let sectionSymbols: UInt32 = 2
    private static let sectionNote: UInt32 = 7
    private static let segmentLoad: UInt32 = 1

    /// The build ID in hexadecimal; empty if there is none.
    private(set) var buildID = ""
    /// The functions, sorted by address.
    private(set) var symbols: [Symbol] = []
    private var segments: [(offset: UInt64, size: UInt64, address: UInt64)] = []

    private let bytes: UnsafeRawBufferPointer

    /// Maps the file; nil if it can't be read or is not such a file.
    init?(path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        guard size > 64, let map = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), map != MAP_FAILED else {
            return nil
        }
        bytes = UnsafeRawBufferPointer(start: map, count: size)
        guard bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { return nil }
        readSegments()
        readSections()
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }

    /// The symbol of the function that contains an address of the file, as the linker knows it.
    func symbol(at address: UInt64) -> String? {
        var low = 0
        var high = symbols.count
        while low < high {
            let middle = (low + high) / 2
            if symbols[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address < symbols[low - 1].address + max(symbols[low - 1].size, 1) else { return nil }
        return String(decoding: bytes[symbols[low - 1].name...].prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The address in the file's own terms for an offset in the file.
    func virtualAddress(ofOffset offset: UInt64) -> UInt64 {
        // A mapping begins at a page boundary, which may lie before the segment, and within the one before it.
        let page: UInt64 = 4096
        for segment in segments.reversed()
        where segment.offset & ~(page - 1) <= offset && offset < segment.offset + segment.size {
            return segment.address &- segment.offset &+ offset
        }
        return offset
    }

    private func readSegments() {
        let start = Self.number(bytes, at: 32, as: UInt64.self)
        let size = UInt64(Self.number(bytes, at: 54, as: UInt16.self))
        for index in 0..<UInt64(Self.number(bytes, at: 56, as: UInt16.self)) {
            let place = Int(start + index * size)
            guard Self.number(bytes, at: place, as: UInt32.self) == Self.segmentLoad else { continue }
            segments.append(
                (
                    offset: Self.number(bytes, at: place + 8, as: UInt64.self),
                    size: Self.number(bytes, at: place + 32, as: UInt64.self),
                    address: Self.number(bytes, at: place + 16, as: UInt64.self)
                ))
        }
    }

    private func readSections() {
        let start = Self.number(bytes, at: 40, as: UInt64.self)
        let size = UInt64(Self.number(bytes, at: 58, as: UInt16.self))
        func header(_ index: UInt64) -> Int { Int(start + index * size) }
        for index in 0..<UInt64(Self.number(bytes, at: 60, as: UInt16.self)) {
            let place = header(index)
            let section = contents(ofSectionAt: place)
            switch Self.number(bytes, at: place + 4, as: UInt32.self) {
            case Self.sectionNote: readNote(section)
            case Self.sectionSymbols:
                let link = UInt64(Self.number(bytes, at: place + 40, as: UInt32.self))
                readSymbols(section, names: contents(ofSectionAt: header(link)))
            default: break
            }
        }
    }

    /// `NT_GNU_BUILD_ID`: sizes of name and value, type 3, "GNU", the value.
    private func readNote(_ note: Slice<UnsafeRawBufferPointer>) {
        let start = note.startIndex
        guard note.count > 16, Self.number(bytes, at: start, as: UInt32.self) == 4,
            Self.number(bytes, at: start + 8, as: UInt32.self) == 3
        else { return }
        let count = Int(Self.number(bytes, at: start + 4, as: UInt32.self))
        buildID = note.dropFirst(16).prefix(count).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            .joined()
    }

    private func readSymbols(_ table: Slice<UnsafeRawBufferPointer>, names: Slice<UnsafeRawBufferPointer>) {
        symbols.reserveCapacity(table.count / 48)
        for place in stride(from: table.startIndex, through: table.endIndex - 24, by: 24) {
            // Only functions that are defined.
            guard bytes[place + 4] & 15 == 2, Self.number(bytes, at: place + 6, as: UInt16.self) != 0 else { continue }
            let name = names.startIndex + Int(Self.number(bytes, at: place, as: UInt32.self))
            guard name < names.endIndex else { continue }
            symbols.append(
                Symbol(
                    address: Self.number(bytes, at: place + 8, as: UInt64.self),
                    size: Self.number(bytes, at: place + 16, as: UInt64.self), name: name))
        }
        symbols.sort { $0.address < $1.address }
    }

    private func contents(ofSectionAt place: Int) -> Slice<UnsafeRawBufferPointer> {
        let offset = Self.number(bytes, at: place + 24, as: UInt64.self)
        let size = Self.number(bytes, at: place + 32, as: UInt64.self)
        let type = Self.number(bytes, at: place + 4, as: UInt32.self)
        // SHT_NOBITS: a file with debug symbols only has the headers of sections whose contents are in the program.
        guard type != 8, offset <= bytes.count, size <= UInt64(bytes.count) - offset else {
            return bytes[0..<0]
        }
        return bytes[Int(offset)..<Int(offset + size)]
    }

    /// A number in the file; 0 beyond its end.
    private static func number<Number: FixedWidthInteger>(
        _ bytes: UnsafeRawBufferPointer, at place: Int, as type: Number.Type
    ) -> Number {
        guard place >= 0, place + MemoryLayout<Number>.size <= bytes.count else { return 0 }
        return bytes.loadUnaligned(fromByteOffset: place, as: type)
    }
}
