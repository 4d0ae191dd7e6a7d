import Channels
import Glibc
import WebSocket

extension Client {
    /// Takes what has come, or some of it, and checks it.
    ///
    /// - Parameter limit: how many bytes at most.
    func read(limit: Int = .max) {
        var left = limit
        let buffer = Self.buffer
        while left > 0, phase != .over {
            let count = recv(descriptor, buffer.baseAddress, min(buffer.count, left), Int32(MSG_DONTWAIT))
            if count > 0 {
                input += buffer[..<count]
                left -= count
                readInput()
                if count < buffer.count { return }
            } else {
                guard count == 0 || errno != EAGAIN else { return }
                // Whoever is cut off, for reading too slowly perhaps, may have a part of a frame.
                phase = .over
            }
        }
    }

    /// Where every read lands: all clients are one thread's.
    private nonisolated(unsafe) static let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 65_536)

    private var shown: String { Trace.shown(input[inputStart...]) }

    private func readInput() {
        if phase == .handshake { readAnswer() }
        while phase == .open, readFrame() {}
        if phase == .told { checkNothingFollows() }
        if inputStart == input.count {
            input.removeAll(keepingCapacity: true)
            inputStart = 0
        } else if inputStart > 1 << 20 {
            input.removeFirst(inputStart)
            inputStart = 0
        }
    }

    /// Whether the last word was a close frame: an HTTP answer has a body.
    private func checkNothingFollows() {
        guard reader.hasBegun else {
            inputStart = input.count
            return
        }
        require(inputStart == input.count, "something follows a close frame: \(shown)")
    }

    // MARK: The handshake

    private func readAnswer() {
        let bytes = input[inputStart...]
        guard let end = bytes.indices.dropLast(3).first(where: { bytes[$0..<($0 + 4)].elementsEqual("\r\n\r\n".utf8) })
        else {
            require(bytes.count < 16_384, "an answer without an end: \(shown)")
            return
        }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        inputStart = end + 4
        let status = lines.first?.split(separator: " ") ?? []
        require(status.count >= 2 && status[0] == "HTTP/1.1" && Int(status[1]) != nil, "an answer: \(lines)")
        for line in lines.dropFirst() { require(line.contains(": "), "a field: \(line)") }
        guard status[1] == "101" else {
            Trace.note("# \(number) is refused: \(lines[0])")
            phase = .told
            return
        }
        Trace.note("# \(number) is open")
        agreesToCompression = lines.contains { $0.hasPrefix("Sec-WebSocket-Extensions: permessage-deflate") }
        require(offersCompression || !agreesToCompression, "compression that nobody offered")
        reader.hasBegun = true
        phase = .open
    }

    // MARK: Frames

    /// Reads the next frame; false where it has not come as a whole.
    private func readFrame() -> Bool {
        let header = input.withUnsafeBytes { FrameHeader(parsing: UnsafeRawBufferPointer(rebasing: $0[inputStart...])) }
        guard let header else { return false }
        require(header.isFinal, "a fragment")
        require(!header.isMasked, "a masked frame")
        let isData = header.opcodeBits == 1 || header.opcodeBits == 2
        require(isData || [8, 9, 10].contains(header.opcodeBits), "opcode \(header.opcodeBits): \(shown)")
        require(
            header.reservedBits == 0 || header.reservedBits == 0x40 && agreesToCompression && isData,
            "reserved bits \(header.reservedBits)")
        require(isData || header.payloadByteCount <= 125, "a control frame of \(header.payloadByteCount) bytes")
        require(header.payloadByteCount < 1 << 30, "a frame of \(header.payloadByteCount) bytes")
        let start = inputStart + header.byteCount
        let end = start + Int(header.payloadByteCount)
        guard end <= input.count else { return false }
        inputStart = end
        let payload = input[start..<end]
        switch header.opcodeBits {
        case 8: readClose(payload)
        case 9: pong(payload)
        case 10: break
        default: readMessage(payload, isText: header.opcodeBits == 1, isCompressed: header.reservedBits != 0)
        }
        return true
    }

    private func readClose(_ payload: ArraySlice<UInt8>) {
        require(payload.count != 1, "a close frame of one byte")
        if payload.count >= 2 {
            let code = UInt16(payload[payload.startIndex]) << 8 | UInt16(payload[payload.startIndex + 1])
            require(CloseCode(rawValue: code).isValidOnTheWire, "closed with \(code)")
            require(String(validating: payload.dropFirst(2), as: UTF8.self) != nil, "a reason: \(payload)")
            Trace.note("# \(number) is closed: \(code) \(Trace.shown(payload.dropFirst(2)))")
        }
        phase = .told
    }

    private func readMessage(_ payload: ArraySlice<UInt8>, isText: Bool, isCompressed: Bool) {
        let bytes = isCompressed ? reader.inflated(payload) : Array(payload)
        if isText { require(String(validating: bytes, as: UTF8.self) != nil, "no UTF-8: \(Trace.shown(bytes))") }
        guard endpoint.isJSON else { return }
        require(isText, "a binary message for json: \(Trace.shown(bytes))")
        guard case .allowed(let message)? = MemberReader.members(of: bytes, among: nil) else {
            return require(false, "no JSON: \(Trace.shown(bytes))")
        }
        let type = message["type"].flatMap(MemberReader.string(of:)) ?? ""
        require(Self.types.contains(type), "a type: \(Trace.shown(bytes))")
        if let epoch = message["epoch"].flatMap(MemberReader.string(of:)), let channel = message["channel"],
            let seq = message["seq"].flatMap({ UInt64(String(decoding: $0, as: UTF8.self)) })
        {
            reader.positions[channel] = (epoch, seq)
        }
        guard type == "ack" || type == "error", let id = message["id"] else {
            return require(type != "ack", "an ack without an id: \(Trace.shown(bytes))")
        }
        take(answer: id, bytes)
    }

    private static let types: Set = ["system", "ack", "error", "chat", "join", "leave", "refresh"]

    private func take(answer id: [UInt8], _ bytes: [UInt8]) {
        guard Checks.answers, !isUnaccountable else { return }
        guard let place = unanswered.firstIndex(where: { $0.id == id }) else {
            return require(losesMessages, "\(number): an answer too many: \(Trace.shown(bytes))")
        }
        let request = unanswered.remove(at: place)
        guard let channel = request.channel, !losesMessages else { return }
        let earlier = unanswered[..<place].filter { $0.channel == channel }.map { Trace.shown($0.id) }
        require(earlier.isEmpty, "\(number): \(earlier) in the same channel have no answer yet: \(Trace.shown(bytes))")
    }
}

/// What a client keeps from message to message.
struct MessageReader {
    /// Whether the WebSocket was opened.
    var hasBegun = false
    /// The last position that was told of a channel, by its name as JSON.
    var positions: [[UInt8]: (epoch: String, seq: UInt64)] = [:]

    func inflated(_ payload: ArraySlice<UInt8>) -> [UInt8] {
        var inflater = Inflater()
        return payload.withUnsafeBytes {
            guard case .message(let bytes) = inflater.inflate($0, limit: 1 << 30) else {
                require(false, "what can't be inflated: \(Trace.shown(payload))")
                return []
            }
            return Array(bytes)
        }
    }
}

/// What is looked at besides crashes; `$WSD_FUZZ_CHECKS=crashes` leaves it out.
enum Checks {
    /// Whether every request has one answer.
    static let answers = getenv("WSD_FUZZ_CHECKS").map { String(cString: $0) } != "crashes"
}
