import CLinux
import Channels
import Glibc
import WebSocket

/// An immutable run of whole frames, encoded once and shared by all connections, on all workers, that they go to.
///
/// Only its reference count changes: once per worker and once per slow consumer, never per subscriber that takes it at
/// once. `@unchecked Sendable` because its bytes are never written after `init`.
final class Segment: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    /// The end of each frame, ascending; the last is the segment's size.
    let frameEnds: [Int]
    /// The number of frames that are messages (and not control frames or HTTP).
    let messageCount: Int
    /// The number of these messages that are binary.
    let binaryCount: Int

    /// Whether the segment begins inside a frame whose front is sent.
    let isTornAtFront: Bool
    /// Whether each frame is for a different connection, so that no connection's backlog should keep the whole segment.
    let isForMany: Bool
    /// Counts the segment; nil for one that is not held for clients.
    let meter: ByteMeter?

    /// Takes ownership of `bytes`, which must come from malloc.
    fileprivate init(
        bytes: UnsafeRawBufferPointer, frameEnds: [Int], messageCount: Int, binaryCount: Int,
        isTornAtFront: Bool = false, isForMany: Bool = false, meter: ByteMeter? = nil
    ) {
        self.isTornAtFront = isTornAtFront
        self.isForMany = isForMany
        self.meter = meter
        self.bytes = bytes
        self.frameEnds = frameEnds
        self.messageCount = messageCount
        self.binaryCount = binaryCount
        meter?.add(heldByteCount)
    }

    /// The memory besides the frames and their ends: the objects' headers and malloc's.
    private static let overhead = 176

    /// The total memory of the segment, in bytes.
    var heldByteCount: Int { bytes.count + Segment.overhead + frameEnds.count * MemoryLayout<Int>.stride }

    /// Copies bytes that are not frames (an HTTP response), which no queue policy may cut.
    convenience init(copying bytes: [UInt8]) {
        var builder = SegmentBuilder()
        builder.append(raw: bytes)
        self.init(bytes: builder.detach(), frameEnds: builder.frameEnds, messageCount: 0, binaryCount: 0)
    }

    /// Makes a segment of one frame, unmasked as a server sends it.
    convenience init(_ opcode: Opcode, payload: UnsafeRawBufferPointer, meter: ByteMeter? = nil) {
        var builder = SegmentBuilder()
        builder.append(opcode, payload: payload)
        self.init(
            bytes: builder.detach(), frameEnds: builder.frameEnds, messageCount: 1,
            binaryCount: builder.binaryCount, meter: meter)
    }

    deinit {
        free(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
        meter?.add(-heldByteCount)
    }

    var count: Int { bytes.count }

    /// The size of the largest frame, including its header.
    var largestFrame: Int {
        var largest = 0
        var start = 0
        for end in frameEnds {
            largest = max(largest, end - start)
            start = end
        }
        return largest
    }

    /// Passes each frame to `body`. The segment must consist of whole frames, none of them compressed.
    func forEachFrame(_ body: (Opcode, _ payload: UnsafeRawBufferPointer) -> Void) {
        var start = 0
        for end in frameEnds {
            let frame = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            start = end
            guard let header = FrameHeader(parsing: frame), let opcode = Opcode(rawValue: header.opcodeBits) else {
                preconditionFailure("a segment's frame is not whole")
            }
            body(opcode, UnsafeRawBufferPointer(rebasing: frame[header.byteCount...]))
        }
    }

    /// Passes the runs of frames within a range to `body`; the frames of a run are all pongs, or none of them is.
    func forEachRun(from start: Int, to end: Int, _ body: (_ isPong: Bool, _ start: Int, _ end: Int) -> Void) {
        guard start < end else { return }
        var index = frameIndex(containing: start)
        var runStart = start
        var position = start
        var isRunOfPongs = false
        while position < end, index < frameEnds.count {
            let isPong = bytes[index > 0 ? frameEnds[index - 1] : 0] == Segment.pongByte && !isTornAtFront
            if isPong != isRunOfPongs {
                if position > runStart { body(isRunOfPongs, runStart, position) }
                runStart = position
                isRunOfPongs = isPong
            }
            position = min(frameEnds[index], end)
            index += 1
        }
        if position > runStart { body(isRunOfPongs, runStart, position) }
    }

    /// The first byte of a pong (RFC 6455, section 5.2).
    private static let pongByte: UInt8 = 0x8A

    /// Whether `position` lies within a frame, so that the bytes after it begin with the frame's rest.
    func isTorn(at position: Int) -> Bool {
        position == 0 ? isTornAtFront : frameEnd(containing: position - 1) != position
    }

    /// The end of the frame that the byte at `position` belongs to.
    func frameEnd(containing position: Int) -> Int { frameEnds[frameIndex(containing: position)] }

    fileprivate func frameIndex(containing position: Int) -> Int {
        var low = 0
        var high = frameEnds.count - 1
        while low < high {
            let middle = (low + high) / 2
            if frameEnds[middle] > position { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The start of the frame that ends at or holds `position - 1`.
    func frameStart(before position: Int) -> Int {
        let index = frameIndex(containing: position - 1)
        return index > 0 ? frameEnds[index - 1] : 0
    }

    /// The number of frames that begin within `start ..< end`.
    func frameCount(from start: Int, to end: Int) -> Int {
        guard start < end else { return 0 }
        let first = frameIndex(containing: start)
        let begin = first > 0 ? frameEnds[first - 1] : 0
        return frameIndex(containing: end - 1) - first + (begin >= start ? 1 : 0)
    }
}

/// Collects frames, each copied once, until they become a `Segment`.
///
/// Invariant: `base` owns `capacity` bytes, of which `count` are written.
struct SegmentBuilder: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    private(set) var count = 0
    private(set) var frameEnds: [Int] = []
    private(set) var messageCount = 0
    private(set) var binaryCount = 0
    /// Counts the segments.
    let meter: ByteMeter?

    init(_ meter: ByteMeter? = nil) { self.meter = meter }

    deinit { free(base) }

    var isEmpty: Bool { count == 0 }

    /// Encodes one frame.
    mutating func append(_ opcode: Opcode, payload: UnsafeRawBufferPointer, isCompressed: Bool = false) {
        let target = reserve(FrameHeader.maximumServerByteCount + payload.count)
        let headerCount = FrameHeader.write(
            opcode, payloadByteCount: payload.count, isCompressed: isCompressed, to: target)
        if let source = payload.baseAddress, payload.count > 0 {
            (target + headerCount).copyMemory(from: source, byteCount: payload.count)
        }
        count += headerCount + payload.count
        frameEnds.append(count)
        if !opcode.isControl { messageCount += 1 }
        if opcode == .binary { binaryCount += 1 }
    }

    /// Appends copies of another segment's frames.
    mutating func append(_ segment: Segment) {
        append(segment, from: 0, to: segment.count)
        messageCount += segment.messageCount
        binaryCount += segment.binaryCount
    }

    /// Appends a copy of a range of another segment, which may begin and end within frames; its messages are not
    /// counted.
    mutating func append(_ segment: Segment, from start: Int, to end: Int) {
        guard start < end, let source = segment.bytes.baseAddress else { return }
        reserve(end - start).copyMemory(from: source + start, byteCount: end - start)
        let frames = segment.frameIndex(containing: start)...segment.frameIndex(containing: end - 1)
        for frameEnd in segment.frameEnds[frames] { frameEnds.append(count + min(frameEnd, end) - start) }
        count += end - start
    }

    /// Appends bytes that are already in wire format; they count as one frame.
    mutating func append(raw bytes: [UInt8]) {
        bytes.withUnsafeBytes { append(raw: $0, frameSizes: [$0.count], messageCount: 0, binaryCount: 0) }
    }

    /// Appends frames that are already in wire format. The sum of their sizes is that of `bytes`.
    mutating func append(raw bytes: UnsafeRawBufferPointer, frameSizes: [Int], messageCount: Int, binaryCount: Int) {
        if let source = bytes.baseAddress { reserve(bytes.count).copyMemory(from: source, byteCount: bytes.count) }
        for size in frameSizes {
            count += size
            frameEnds.append(count)
        }
        self.messageCount += messageCount
        self.binaryCount += binaryCount
    }

    /// Returns the collected frames as a segment, and begins anew.
    ///
    /// - Parameters:
    ///   - isTornAtFront: whether the frames begin within a frame whose front is sent.
    ///   - isForMany: whether each frame is for a different connection.
    mutating func finish(isTornAtFront: Bool = false, isForMany: Bool = false) -> Segment {
        let ends = frameEnds
        let messages = messageCount
        let binaries = binaryCount
        let bytes = detach()
        frameEnds = []
        messageCount = 0
        binaryCount = 0
        return Segment(
            bytes: bytes, frameEnds: ends, messageCount: messages, binaryCount: binaries,
            isTornAtFront: isTornAtFront, isForMany: isForMany, meter: meter)
    }

    /// Returns the bytes with their ownership, reallocated to their size if that saves much.
    fileprivate mutating func detach() -> UnsafeRawBufferPointer {
        if capacity > count * 2, count > 0 { base = realloc(base, count) }
        let bytes = UnsafeRawBufferPointer(start: base, count: count)
        base = nil
        capacity = 0
        count = 0
        return bytes
    }

    private mutating func reserve(_ more: Int) -> UnsafeMutableRawPointer {
        if count + more > capacity || base == nil {
            capacity = max(count + more, capacity * 2, 256)
            base = realloc(base, capacity)
            precondition(base != nil, "out of memory")
        }
        return base! + count
    }
}
