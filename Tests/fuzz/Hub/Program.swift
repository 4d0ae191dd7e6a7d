/// A fuzzer's input as a program: records of eight bytes. The first says what holds for the hub's whole life, the second
/// is its first configuration, and each other one is a step.
struct Program {
    static let recordByteCount = 8
    /// More steps are not looked at: a program stays short enough to be understood.
    static let maximumStepCount = 96

    private var records: ArraySlice<[UInt8]>

    init(_ bytes: [UInt8]) {
        let starts = stride(from: 0, to: bytes.count, by: Self.recordByteCount)
        let records = starts.map { start in
            let record = bytes[start..<min(bytes.count, start + Self.recordByteCount)]
            return Array(record) + [UInt8](repeating: 0, count: Self.recordByteCount - record.count)
        }
        self.records = records.prefix(Self.maximumStepCount + 2)
    }

    /// The next record; nil behind the last.
    mutating func step() -> Step? { records.popFirst().map(Step.init) }

    /// The next records as bytes to send, as many as there are.
    mutating func bytes(ofRecords count: Int) -> [UInt8] {
        defer { records = records.dropFirst(count) }
        return Array(records.prefix(count).joined())
    }
}

/// One record: what is done, and seven bytes that say how.
struct Step {
    enum Kind: CaseIterable {
        case open, request, burst, say, rawFrames, rawText, control, reading, end, wait, cut
        case kick, unsubscribe, broadcast, publish, look, follow, reconfigure, drain, restart

        /// How many of 256 records are of the kind.
        var weight: Int {
            switch self {
            case .open: 40
            case .request: 72
            case .burst: 12
            case .say: 14
            case .rawFrames: 3
            case .rawText: 5
            case .control: 7
            case .reading: 10
            case .end: 13
            case .wait: 10
            case .cut: 2
            case .kick: 6
            case .unsubscribe: 14
            case .broadcast: 5
            case .publish: 12
            case .look: 10
            case .follow: 3
            case .reconfigure: 14
            case .drain: 2
            case .restart: 2
            }
        }

        static let byByte = allCases.flatMap { Array(repeating: $0, count: $0.weight) }
    }

    /// The bytes behind the first.
    private var bytes: [UInt8]
    let kind: Kind

    init(_ record: [UInt8]) {
        kind = Kind.byByte[Int(record[0]) % Kind.byByte.count]
        bytes = Array(record[1...])
    }

    /// A byte of the seven.
    subscript(place: Int) -> Int { Int(bytes[place]) }

    /// Which of these a byte chooses.
    func choice<Value>(_ place: Int, of values: [Value]) -> Value { values[self[place] % values.count] }

    /// A bit of a byte.
    func flag(_ place: Int, _ bit: Int) -> Bool { bytes[place] >> bit & 1 == 1 }

    /// Two bits of a byte, the lowest of which is `bit`.
    func pair<Value>(_ place: Int, _ bit: Int, of values: [Value]) -> Value { values[self[place] >> bit & 3] }

    /// The same request about another channel, a place in `Alphabet.requestChannels`.
    func about(channel: Int) -> Step {
        var other = self
        other.bytes[2] = bytes[2] & 0xF0 | UInt8(channel & 0xF)
        return other
    }

    /// As many records as it takes, made from this one's bytes.
    func derived(_ count: Int) -> [Step] {
        var state = bytes.reduce(1469598103) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        return (0..<count).map { _ in
            Step(
                (0..<Program.recordByteCount).map { _ in
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return UInt8(truncatingIfNeeded: state >> 33)
                })
        }
    }
}
