package import Base

extension HistoryBlock {
    /// Writes publications: of a block, or of a history's buffer.
    fileprivate static func write(_ entries: [Entry], _ bytes: [UInt8], to state: inout StateWriter) {
        state.write(count: entries.count)
        for (index, entry) in entries.enumerated() {
            state.write(count: entries.range(index).count)
            state.write(count: entry.nameByteCount)
            state.write(byte: entry.form.rawValue)
            state.write(time: entry.time)
        }
        state.write(bytes)
    }

    fileprivate static func read(from state: inout StateReader) throws(StateError) -> (entries: [Entry], bytes: [UInt8])
    {
        let count = try state.elementCount(ofAtLeast: 4)
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        var end = 0
        for _ in 0..<count {
            let size = try state.count(atMost: Entry.largestByteCount)
            let nameByteCount = try state.count(atMost: size)
            guard let form = NumberedPublication.Form(rawValue: try state.byte()), let time = try state.time() else {
                throw state.error("a publication of no form or time")
            }
            end += size
            try state.require(end <= 2 * Entry.largestByteCount, "too many bytes in a block")
            entries.append(Entry(end: end, nameByteCount: nameByteCount, form: form, time: time))
        }
        let bytes = try state.bytes()
        try state.require(bytes.count == end, "publications without their bytes")
        return (entries, Array(bytes))
    }

    /// A block of a state, which has one publication at least.
    fileprivate static func block(
        from state: inout StateReader, meter: ByteMeter?
    ) throws(StateError) -> HistoryBlock {
        let (entries, bytes) = try read(from: &state)
        try state.require(!entries.isEmpty, "an empty block")
        return HistoryBlock(bytes: bytes, entries: entries, meter: meter)
    }

    fileprivate static func write(
        _ blocks: some Collection<HistoryBlock>, to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>
    ) {
        state.write(count: blocks.count)
        for block in blocks { shared.write(block, to: &state) { write(block.entries, block.bytes, to: &$0) } }
    }

    fileprivate static func blocks(
        from state: inout StateReader, _ shared: inout SharedReader<HistoryBlock>, meter: ByteMeter?
    ) throws(StateError) -> [HistoryBlock] {
        let count = try state.elementCount()
        var blocks: [HistoryBlock] = []
        blocks.reserveCapacity(count)
        for _ in 0..<count {
            blocks.append(
                try shared.read(from: &state) { (state) throws(StateError) in try block(from: &state, meter: meter) })
        }
        return blocks
    }
}

/// The largest number that a message in a state may have, so that no sum of numbers overflows.
private let largestSeq: UInt64 = 1 << 62

extension History {
    /// Writes the messages. The limits are settings, and no part of it.
    ///
    /// - Parameter shared: the blocks, which connections may refer to as well.
    package func write(to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>) {
        state.write(newestSeq)
        state.write(count: dropped)
        HistoryBlock.write(blocks, to: &state, &shared)
        HistoryBlock.write(entries, bytes, to: &state)
    }

    /// Reads messages and drops those beyond the limits; those that are too old go with the next `expire`.
    package init(
        from state: inout StateReader, _ shared: inout SharedReader<HistoryBlock>, limits: Limits,
        meter: ByteMeter? = nil
    ) throws(StateError) {
        self.init(limits: limits, meter: meter)
        newestSeq = try state.number()
        dropped = try state.count(atMost: .max)
        blocks = try HistoryBlock.blocks(from: &state, &shared, meter: meter)
        (entries, bytes) = try HistoryBlock.read(from: &state)
        let front = blocks.first?.count ?? entries.count
        try state.require(dropped < front || dropped == 0, "more messages dropped than there were")
        count = blocks.reduce(entries.count - dropped) { $0 + $1.count }
        let cut = dropped == 0 ? 0 : Int((blocks.first?.entries ?? entries)[dropped - 1].end)
        messageByteCount = blocks.reduce(bytes.count - cut) { $0 + $1.bytes.count }
        try state.require(newestSeq < largestSeq && UInt64(count) <= newestSeq, "messages without a number")
        shrink()
        compact()
    }
}

extension HistorySlice {
    /// Writes the run as a history that has nothing else, for `History.init(from:)`. It has to end with the newest message.
    package func writeHistory(to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>) {
        state.write(seq + UInt64(clamping: messageCount) - 1)
        state.write(count: position)
        HistoryBlock.write(blocks, to: &state, &shared)
        HistoryBlock.write([], [], to: &state)
    }

    package func write(to state: inout StateWriter, _ shared: inout SharedWriter<HistoryBlock>) {
        state.write(quotedChannel)
        state.write(seq)
        state.write(count: position)
        state.write(count: messageCount)
        HistoryBlock.write(blocks, to: &state, &shared)
    }

    package init(
        from state: inout StateReader, _ shared: inout SharedReader<HistoryBlock>, meter: ByteMeter?
    ) throws(StateError) {
        let channel = Array(try state.bytes())
        try state.require(MemberReader.string(of: channel) != nil, "a channel's name")
        let seq: UInt64 = try state.number()
        let position = try state.count(atMost: .max)
        let messageCount = try state.count(atMost: .max)
        let blocks = try HistoryBlock.blocks(from: &state, &shared, meter: meter)
        try state.require(1..<largestSeq ~= seq, "messages without a number")
        try state.require(position < blocks.first?.count ?? 0, "a place behind the messages")
        let most = blocks.reduce(-position) { $0 + $1.count }
        try state.require(1...most ~= messageCount, "more messages missed than there are")
        self.init(
            quotedChannel: channel, blocks: blocks, position: position, seq: seq, messageCount: messageCount)
    }
}
