/// DEFLATE (RFC 1951) bit by bit, to compare with: no table, no window, no state kept.
struct ReferenceInflater {
    enum Failure: Error { case corrupt, tooLarge, tooManyBlocks }

    /// The farthest that any match refers back.
    private(set) var maximumDistance = 0
    private let input: [UInt8]
    private let payloadBits: Int
    private var position = 0
    private var hasOutputOfTail = false
    private var output: [UInt8] = []
    /// Where the present stream's output begins: a match refers back no farther.
    private var origin = 0
    private let limit: Int
    private var blocks = 0
    private var dynamicBlocks = 0

    /// The message that a payload of permessage-deflate (RFC 7692, section 7.2.2) stands for.
    static func message(
        _ payload: [UInt8], limit: Int
    ) throws(Failure) -> (bytes: [UInt8], maximumDistance: Int) {
        var inflater = ReferenceInflater(payload, limit: limit)
        while inflater.remainingBits >= 3 {
            guard try inflater.block() else { continue }
            // The last block of a stream. Another stream follows from the next byte, unless the payload is over.
            inflater.position = (inflater.position + 7) & ~7
            inflater.origin = inflater.output.count
            if inflater.position == inflater.payloadBits { break }
        }
        // What needs the tail for a byte of the message was cut off.
        guard !inflater.hasOutputOfTail else { throw .corrupt }
        return (inflater.output, inflater.maximumDistance)
    }

    private init(_ payload: [UInt8], limit: Int) {
        input = payload + [0x00, 0x00, 0xFF, 0xFF]
        payloadBits = payload.count * 8
        self.limit = limit
    }

    private var remainingBits: Int { input.count * 8 - position }

    private mutating func bits(_ count: Int) throws(Failure) -> Int {
        guard remainingBits >= count else { throw .corrupt }
        var value = 0
        for index in 0..<count {
            value |= Int(input[position >> 3] >> (position & 7) & 1) << index
            position += 1
        }
        return value
    }

    /// Section 3.2.3; whether it was the stream's last.
    private mutating func block() throws(Failure) -> Bool {
        // A block that begins in the last byte is not counted.
        let isCounted = payloadBits - position >= 8
        let isLast = try bits(1) == 1
        let kind = try bits(2)
        if isCounted {
            blocks += 1
            dynamicBlocks += kind == 2 ? 1 : 0
            // 128 and two more for each byte of the message; with codes of their own 8, and one more for 100 bytes.
            guard blocks <= 128 + 2 * output.count, dynamicBlocks <= 8 + output.count / 100 else {
                throw .tooManyBlocks
            }
        }
        switch kind {
        case 0: try stored()
        case 1: try compressed(Self.fixedLengths, Self.fixedDistances)
        case 2: try dynamic()
        default: throw .corrupt
        }
        return isLast
    }

    private mutating func put(_ byte: UInt8) throws(Failure) {
        guard output.count < limit else { throw .tooLarge }
        if position > payloadBits { hasOutputOfTail = true }
        output.append(byte)
    }

    private mutating func stored() throws(Failure) {
        position = (position + 7) & ~7
        let count = try bits(16)
        guard try bits(16) == count ^ 0xFFFF else { throw .corrupt }
        for _ in 0..<count { try put(UInt8(bits(8))) }
    }

    private mutating func dynamic() throws(Failure) {
        let (lengths, distances, codes) = (try bits(5) + 257, try bits(5) + 1, try bits(4) + 4)
        guard lengths <= 286, distances <= 30 else { throw .corrupt }
        var widths = [Int](repeating: 0, count: 19)
        for index in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].prefix(codes) {
            widths[index] = try bits(3)
        }
        guard let code = PrefixCode(widths), code.isComplete else { throw .corrupt }
        var all: [Int] = []
        while all.count < lengths + distances {
            switch try symbol(code) {
            case 16:
                guard let last = all.last else { throw .corrupt }
                all += Array(repeating: last, count: try bits(2) + 3)
            case 17: all += Array(repeating: 0, count: try bits(3) + 3)
            case 18: all += Array(repeating: 0, count: try bits(7) + 11)
            case let width: all.append(width)
            }
        }
        guard all.count == lengths + distances, all[256] > 0, let literals = PrefixCode(Array(all[..<lengths])),
            let farness = PrefixCode(Array(all[lengths...])), literals.isUsable, farness.isUsable
        else { throw .corrupt }
        try compressed(literals, farness)
    }

    private mutating func symbol(_ code: PrefixCode) throws(Failure) -> Int {
        // `word` counts from the first word of its width.
        var (word, first) = (0, 0)
        for count in code.counts {
            word = word << 1 | (try bits(1))
            if word < count { return code.symbols[first + word] }
            word -= count
            first += count
        }
        throw .corrupt
    }

    private mutating func compressed(_ lengths: PrefixCode, _ distances: PrefixCode) throws(Failure) {
        while true {
            let symbol = try symbol(lengths)
            guard symbol != 256 else { return }
            guard symbol > 256 else {
                try put(UInt8(symbol))
                continue
            }
            guard symbol < 286 else { throw .corrupt }
            // Section 3.2.5: each further group of four (two for distances) has one more extra bit.
            let step = symbol - 257
            let extra = step < 8 || step == 28 ? 0 : step / 4 - 1
            let base = step < 8 ? step + 3 : step == 28 ? 258 : (step % 4 + 4) << extra + 3
            let length = base + (try bits(extra))
            let farness = try self.symbol(distances)
            guard farness < 30 else { throw .corrupt }
            let moreBits = farness < 4 ? 0 : farness / 2 - 1
            let distance = (farness < 4 ? farness : (farness % 2 + 2) << moreBits) + 1 + (try bits(moreBits))
            guard distance <= output.count - origin else { throw .corrupt }
            maximumDistance = max(maximumDistance, distance)
            for _ in 0..<length { try put(output[output.count - distance]) }
        }
    }

    /// Section 3.2.6.
    private static let fixedLengths = PrefixCode((0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })!
    private static let fixedDistances = PrefixCode(Array(repeating: 5, count: 32))!
}

/// The code that its words' widths define (RFC 1951, section 3.2.2).
private struct PrefixCode {
    /// How many words there are of each width from 1 to 15.
    private(set) var counts = [Int](repeating: 0, count: 15)
    /// What they mean, in the order of their widths.
    let symbols: [Int]
    /// Code space nobody uses, in words of 15 bits.
    private let unused: Int

    /// Nil where the widths are too many for a code.
    init?(_ widths: [Int]) {
        for width in widths where width > 0 { counts[width - 1] += 1 }
        symbols = (1...15).flatMap { width in widths.indices.filter { widths[$0] == width } }
        unused = (1 << 15) - counts.enumerated().reduce(0) { $0 + $1.element << (14 - $1.offset) }
        if unused < 0 { return nil }
    }

    var isComplete: Bool { unused == 0 }

    /// A single word of one bit may stand alone, and who has no matches needs no distances (section 3.2.7).
    var isUsable: Bool { isComplete || symbols.count == counts[0] }
}
