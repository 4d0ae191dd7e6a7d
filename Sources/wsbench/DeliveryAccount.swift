/// Records the arrival of numbered messages on any number of lanes.
///
/// A lane is the stream from one publisher to one subscriber: every sequence number, from 0, has to arrive on it once
/// and in order.
struct DeliveryAccount {
    /// The number of messages that arrived, each counted once.
    private(set) var deliveredCount = 0
    /// The number of messages that arrived again.
    private(set) var duplicateCount = 0
    /// The number of messages that arrived after one with a higher number.
    private(set) var disorderCount = 0

    /// The next expected number of each lane.
    private var expected: [UInt32]
    /// The numbers skipped on a lane, ascending; only for lanes where that happened.
    private var gaps: [Int: [Range<UInt32>]] = [:]

    init(laneCount: Int) { expected = [UInt32](repeating: 0, count: laneCount) }

    /// Records a message.
    ///
    /// - Returns: the number of messages by which the lane advanced, including skipped ones; 0 for a duplicate or a
    ///   late one.
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

    /// The position of a lane: the next expected number.
    func position(lane: Int) -> Int { Int(expected[lane]) }

    /// The number of messages missing on a lane whose publisher has sent `sentCount`.
    func missingCount(lane: Int, sentCount: Int) -> Int {
        missingBeforeEnd(lane: lane) + max(0, sentCount - position(lane: lane))
    }

    /// The number of messages missing before the last one that arrived.
    func missingBeforeEnd(lane: Int) -> Int {
        gaps.isEmpty ? 0 : gaps[lane]?.reduce(0) { $0 + $1.count } ?? 0
    }
}
