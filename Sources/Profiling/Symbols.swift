internal import CLinux
internal import Glibc

/// The names of the program's functions, from its own symbol table or, if it is stripped, from its debug symbols.
struct Symbols {
    /// The place of the program's code in memory, and its offset in the file.
    private(set) var codeStart: UInt64 = 0
    private(set) var codeEnd: UInt64 = 0
    private(set) var codeOffset: UInt64 = 0
    private(set) var path = ""
    private(set) var buildID = ""
    /// The difference between an address in memory and in the file.
    private var bias: UInt64 = 0
    /// The file with the symbols; nil if there is none.
    private var table: ELFFile?

    /// Reads the symbols of the running program.
    init() {
        path = Self.programPath()
        guard let program = ELFFile(path: "/proc/self/exe") else { return }
        buildID = program.buildID
        findCode(program)
        if !program.symbols.isEmpty {
            table = program
        } else if buildID.count > 2 {
            table = ELFFile(path: "/usr/lib/debug/.build-id/\(buildID.prefix(2))/\(buildID.dropFirst(2)).debug")
        }
    }

    var isEmpty: Bool { table?.symbols.isEmpty ?? true }

    func isOwn(_ address: UInt64) -> Bool { address >= codeStart && address < codeEnd }

    /// The symbol of the function that contains an address, as the linker knows it.
    func symbol(at address: UInt64) -> String? {
        guard isOwn(address) else { return clinux_symbol_name(address).map { String(cString: $0) } }
        return table?.symbol(at: address &- bias)
    }

    /// The readable name of the function at an address.
    func name(of address: UInt64) -> String {
        symbol(at: address).map(Demangling.name) ?? "0x\(String(address, radix: 16))"
    }

    private static func programPath() -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    /// Finds the mapping of the executed program, which contains this function itself.
    private mutating func findCode(_ program: ELFFile) {
        let function: @convention(c) () -> Void = {}
        let here = UInt64(UInt(bitPattern: unsafeBitCast(function, to: Int.self)))
        for line in Self.maps().split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            let bounds = fields.first?.split(separator: "-").compactMap { UInt64($0, radix: 16) } ?? []
            guard fields.count > 2, bounds.count == 2, here >= bounds[0], here < bounds[1],
                let offset = UInt64(fields[2], radix: 16)
            else { continue }
            codeStart = bounds[0]
            codeEnd = bounds[1]
            codeOffset = offset
            bias = bounds[0] &- program.virtualAddress(ofOffset: offset)
        }
    }

    private static func maps() -> String {
        let descriptor = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
