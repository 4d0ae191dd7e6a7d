import WebSocket

extension Worker {
    /// Adds to a publication its messages in each of the encodings, deflated once for each window that makes a difference.
    func compress(_ publication: inout Publication, for encodings: Encoding.Set) {
        /// What was deflated for the largest window, and from what.
        var shared: (plain: Segment, deflated: Segment)?
        for encoding in encodings.deflating {
            guard let plain = publication.plain(encoding) else { continue }
            let largest = plain.largestFrame
            guard largest >= configuration.compressionThreshold else { continue }
            // What fits into a window whole is the same for all windows it fits into.
            let fits = Deflater.windowBits(forMessageOf: largest, agreed: encoding.windowBits!) == 15
            let known = fits && shared?.plain === plain ? shared?.deflated : nil
            guard let segment = known ?? deflate(plain, agreed: fits ? 15 : encoding.windowBits!) else { continue }
            if fits { shared = (plain, segment) }
            publication[encoding] = segment
        }
    }

    /// The same messages, deflated where that makes them smaller; nil where it made none so.
    private func deflate(_ plain: Segment, agreed: Int) -> Segment? {
        var builder = SegmentBuilder(context.account.frames)
        var hasGained = false
        plain.forEachFrame { opcode, payload in
            guard !opcode.isControl, payload.count >= configuration.compressionThreshold,
                let deflated = deflater.deflate(
                    payload, windowBits: Deflater.windowBits(forMessageOf: payload.count, agreed: agreed))
            else {
                builder.append(opcode, payload: payload)
                return
            }
            hasGained = true
            statistics.deflatedFrom &+= UInt64(payload.count)
            statistics.deflatedTo &+= UInt64(deflated.count)
            builder.append(opcode, payload: deflated, isCompressed: true)
        }
        return hasGained ? builder.finish() : nil
    }

    /// Inflates a message and checks what it says; nil where that has failed the connection.
    func inflate(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        switch inflater.inflate(payload, limit: configuration.maximumMessageByteCount) {
        case .corrupt:
            failed(slot, record, .invalidData, "compressed message is corrupt")
        case .tooLarge:
            failed(slot, record, .messageTooBig, "message larger than the limit")
        case .tooManyBlocks:
            failed(slot, record, .policyViolation, "compressed message has too many blocks for its size")
        case .message(let message):
            let message = UnsafeRawBufferPointer(message)
            statistics.inflatedFrom &+= UInt64(payload.count)
            statistics.inflatedTo &+= UInt64(message.count)
            guard opcode == .text else { return message }
            var text = UTF8Validator()
            if text.accept(message), text.isComplete { return message }
            failed(slot, record, .invalidData, "text is not valid UTF-8")
        }
        return nil
    }
}
