import WebSocket

/// However the bytes of a client are cut, `FrameReader` says of them what the model says.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrames(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    let limits = FrameReader.Limits(
        maximumMessageByteCount: input.choice(of: [1 << 20, 0, 1, 5, 125, 126, 1_000, 65_536]),
        allowsCompression: input.byte() % 2 == 1
    )
    let sizes = input.pieceSizes()
    let wire = input.rest()
    let model = FrameModel(wire, limits: limits)
    for sizes in [[wire.count], [1], sizes] {
        let said = read(wire, in: sizes, limits: limits, endsBetweenMessages: model.endsBetweenMessages)
        require(said == model.events, "in pieces of \(sizes): \(said) instead of \(model.events)")
    }
    return 0
}

/// What a reader says of bytes that arrive in pieces, each gone when it is read.
private func read(
    _ wire: [UInt8], in sizes: [Int], limits: FrameReader.Limits, endsBetweenMessages: Bool
) -> [ReaderEvent] {
    var reader = FrameReader()
    var said: [ReaderEvent] = []
    var rest = wire[...]
    var pieces = 0
    while !rest.isEmpty {
        let piece = rest.prefix(sizes[pieces % sizes.count])
        rest = rest.dropFirst(piece.count)
        pieces += 1
        let isOver = withExactCopy(of: piece) { bytes in
            var unread = bytes
            while true {
                switch reader.next(&unread, limits: limits) {
                case .needsMore:
                    require(unread.isEmpty, "more is needed, with \(unread.count) bytes unread")
                    return false
                case .message(let opcode, let payload, let isCompressed):
                    said.append(.message(opcode, Array(payload), isCompressed: isCompressed))
                    require(reader.isIdle, "not idle behind a message")
                case .ping(let payload): said.append(.ping(Array(payload)))
                case .pong(let payload): said.append(.pong(Array(payload)))
                case .close(let code, let reason):
                    said.append(.close(code?.rawValue, Array(reason)))
                    return true
                case .failure(let code, _):
                    said.append(.failure(code.rawValue))
                    return true
                }
            }
        }
        if isOver { return said }
    }
    require(reader.isIdle == endsBetweenMessages, "idle: \(reader.isIdle), between messages: \(endsBetweenMessages)")
    return said
}
