/// What has arrived of numbered messages, on any number of lanes.
///
/// A lane is one publisher as one subscriber hears it: on it every sequence number, from 0, has to come once and in order.
struct DeliveryAccount {
    /// Messages that came, each counted once.
    private(set) var deliveredCount = 0
    /// Messages that came once more.
    private(set) var duplicateCount = 0
    /// Messages that came after one with a higher number.
    private(set) var disorderCount = 0

    /// The next number of each lane.
    private var expected: [UInt32]
    /// The numbers passed over on a lane, ascending; only of lanes where that happened.
    private var gaps: [Int: [Range<UInt32>]] = [:]

    init(laneCount: Int) { expected = [UInt32](repeating: 0, count: laneCount) }

    /// Takes note of a message.
    ///
    /// - Returns: by how many messages the lane went on, those passed over included; 0 for a duplicate or a late one.
    @inline(__always)
    mutating func receive(_ sequence: UInt32, lane: Int) -> Int {
        let next = expected[lane]
        guard sequence == next else { return receiveOutOfTurn(sequence, lane: lane, next: next) }
        expected[lane] = next &+ 1
        deliveredCount &+= 1
        return 1
    }

    @inline(never)
    private mutating func receiveOutOfTurn(_ sequence: UInt32, lane: Int, next: UInt32) -> Int {
        guard sequence < next else {
            gaps[lane, default: []].append(next..<sequence)
            expected[lane] = sequence + 1
            deliveredCount += 1
            return Int(sequence - next) + 1
        }
        guard let index = gaps[lane]?.firstIndex(where: { $0.contains(sequence) }) else {
            duplicateCount += 1
            return 0
        }
        let gap = gaps[lane]![index]
        let rest = [gap.lowerBound..<sequence, sequence + 1..<gap.upperBound].filter { !$0.isEmpty }
        gaps[lane]!.replaceSubrange(index...index, with: rest)
        deliveredCount += 1
        disorderCount += 1
        return 0
    }

    /// How far a lane is: the number that comes next.
    func position(lane: Int) -> Int { Int(expected[lane]) }

    /// How many messages are missing on a lane of whose publisher `sentCount` were sent.
    func missingCount(lane: Int, sentCount: Int) -> Int {
        missingBeforeEnd(lane: lane) + max(0, sentCount - position(lane: lane))
    }

    /// How many messages are missing before the last one that came.
    func missingBeforeEnd(lane: Int) -> Int {
        gaps.isEmpty ? 0 : gaps[lane]?.reduce(0) { $0 + $1.count } ?? 0
    }
}
