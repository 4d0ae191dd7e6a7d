import WebSocket

/// However a request's bytes are cut, `RequestParser` finds the same head in them; and what is answered to it is what the
/// model of the rules says.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHandshake(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    let limit = input.choice(of: [16_384, 1_024, 128, 16])
    let sizes = input.pieceSizes()
    let bytes = input.rest()
    let whole = parse(bytes, in: [max(bytes.count, 1)], limit: limit)
    for sizes in [[1], sizes] {
        let parsed = parse(bytes, in: sizes, limit: limit)
        require(parsed == whole, "in pieces of \(sizes): \(parsed) instead of \(whole)")
    }
    guard case .head(let head, let byteCount) = whole else { return 0 }
    require(bytes[..<byteCount].suffix(4) == Array("\r\n\r\n".utf8)[...], "the head ends elsewhere")
    require(byteCount <= limit + 2, "\(byteCount) bytes are over the limit")
    checkAnswer(to: head.head)
    checkOffers(head.head.values("sec-websocket-extensions"))
    for origin in head.head.values("origin") {
        for host in head.head.values("host") { _ = Handshake.isSameHost(origin, host: host) }
    }
    return 0
}

private enum Parsed: Equatable {
    case incomplete
    case head(ComparableHead, byteCount: Int)
    /// With whatever status: where a head is wrong and too large, the pieces decide which is seen first.
    case refused
}

private struct ComparableHead: Equatable {
    let head: RequestHead

    static func == (one: ComparableHead, other: ComparableHead) -> Bool {
        one.head.method == other.head.method && one.head.path == other.head.path && one.head.query == other.head.query
            && one.head.fields.elementsEqual(other.head.fields, by: ==)
    }
}

/// Gives the parser what has arrived so far, again and again, until it knows.
private func parse(_ bytes: [UInt8], in sizes: [Int], limit: Int) -> Parsed {
    var arrived = 0
    var pieces = 0
    while arrived < bytes.count {
        let scanned = arrived
        arrived = min(bytes.count, arrived + sizes[pieces % sizes.count])
        pieces += 1
        let result = withExactCopy(of: bytes[..<arrived]) {
            RequestParser.parse(UnsafeRawBufferPointer($0), scannedCount: scanned, limit: limit)
        }
        switch result {
        case .incomplete: continue
        case .complete(let head, let byteCount):
            require(byteCount > scanned, "complete before its last byte came")
            return .head(ComparableHead(head: head), byteCount: byteCount)
        case .refused(let refusal):
            checkText(Handshake.response(refusal))
            return .refused
        }
    }
    return .incomplete
}

private func checkAnswer(to head: RequestHead) {
    if let refusal = Handshake.checkCommon(head) { return checkText(Handshake.response(refusal)) }
    require(head.values("host").count == 1, "without one Host")
    switch Handshake.evaluate(head) {
    case .refused(let refusal):
        require(!HandshakeModel.opens(head), "refused: \(refusal.reason)")
        checkText(Handshake.response(refusal))
    case .upgrade(let accept):
        require(HandshakeModel.opens(head), "opened in spite of the rules")
        let compression = PermessageDeflate.negotiate(head.values("sec-websocket-extensions"))
        let answer = Handshake.response(accept: accept, compression: compression)
        checkText(answer)
        require(answer.starts(with: Array("HTTP/1.1 101 ".utf8)), "not a 101")
    }
}

/// An answer is a status line and fields of printable ASCII: nothing of the request gets out of its line.
private func checkText(_ answer: [UInt8]) {
    let text = String(decoding: answer, as: UTF8.self)
    let lines = text.utf8.split(separator: 10, omittingEmptySubsequences: false)
    let head = lines.prefix { $0.count != 1 }
    require(head.count < lines.count, "no end of the head: \(text)")
    for line in head {
        require(line.last == 13 && line.dropLast().allSatisfy { (0x20...0x7E).contains($0) }, "a wrong line: \(text)")
    }
}

private func checkOffers(_ fields: [String]) {
    let agreed = PermessageDeflate.negotiate(fields)
    let unknown = PermessageDeflate.negotiate(["x-unknown; a=1"] + fields)
    require(unknown == agreed, "an unknown offer changes \(fields)")
    guard !fields.contains(where: { $0.utf8.contains(UInt8(ascii: "\"")) }) else { return }
    let expected = HandshakeModel.window(fields)
    require((agreed == nil) == (expected == nil), "agreed: \(agreed as Any) of \(fields)")
    if let agreed, let expected {
        require(agreed.serverMaximumWindowBits == expected, "\(agreed) instead of \(expected as Any)")
        require(agreed.answer.contains("server_max_window_bits") == (expected != nil), agreed.answer)
    }
}
