import Base

extension RequestReader {
    /// Makes a request of the members of a well-formed text.
    static func interpret(_ members: Members, _ bytes: UnsafeRawBufferPointer) throws(RequestError) -> Request {
        guard members.isObject else {
            throw RequestError(
                code: .badJSON, message: "a message is a JSON object, such as {\"type\":\"ping\",\"id\":1}")
        }
        if let repeated = members.repeated { throw bad("\"\(repeated.name)\" is there more than once") }
        if let id = members[.id], !isID(id, bytes) {
            throw bad("\"id\" must be a string of 1 to 64 bytes without control characters, or a whole number")
        }
        var request = Request(kind: try kind(members, bytes))
        request.id = members[.id]
        if request.kind != .refresh, request.kind != .ping { request.channel = try channel(members, bytes) }
        do throws(RequestError) {
            try readRest(&request, members, bytes)
        } catch {
            var error = error
            error.channel = request.channel
            throw error
        }
        return request
    }

    private static func readRest(
        _ request: inout Request, _ members: Members, _ bytes: UnsafeRawBufferPointer
    ) throws(RequestError) {
        switch request.kind {
        case .chat:
            request.data = members[.data]
            guard request.data != nil else { throw bad("a \"chat\" needs \"data\", which may be any JSON value") }
        case .join:
            request.since = try members[.since].map { (range) throws(RequestError) in try position(range, bytes) }
        case .leave:
            break
        case .presence, .history, .ping:
            guard request.id != nil else {
                throw bad("a \"\(request.kind)\" needs an \"id\", which its answer will have")
            }
            guard request.kind == .history else { break }
            request.limit = try number(members, .limit, 1...1_000, bytes).map { Int($0) }
            request.before = try number(members, .before, 0...(1 << 53 - 1), bytes)
        case .refresh:
            guard let token = string(members[.token], bytes) else {
                throw bad("a \"refresh\" needs \"token\", a string")
            }
            guard token.byteCount(in: bytes, limit: Request.maximumTokenByteCount) <= Request.maximumTokenByteCount
            else { throw bad("a \"token\" has at most \(Request.maximumTokenByteCount) bytes") }
            request.token = token
        }
    }

    private static func bad(_ message: String) -> RequestError { RequestError(code: .badMessage, message: message) }

    private static func kind(_ members: Members, _ bytes: UnsafeRawBufferPointer) throws(RequestError) -> Request.Kind {
        guard let range = members[.type] else {
            throw bad("\"type\" is missing; it says what is asked for: \(kinds)")
        }
        guard let name = string(range, bytes) else { throw bad("\"type\" must be a string: \(kinds)") }
        if let kind = Request.Kind.allCases.first(where: { name.equals($0.rawValue, in: bytes) }) { return kind }
        // The type is cut by scalars, because one character may have any number of them. A scalar has four bytes at
        // most.
        var shown = String.UnicodeScalarView()
        for scalar in name.text(in: bytes, limit: 4 * shownScalars).unicodeScalars.prefix(shownScalars) {
            let isControl = scalar.value < 0x20 || 0x7F...0x9F ~= scalar.value
            shown.append(isControl ? "?" : scalar)
        }
        throw RequestError(
            code: .unknownType, message: "the type \"\(String(shown))\" does not exist; there are \(kinds)")
    }

    /// The number of scalars of an unknown type that the error message repeats: 128 bytes at most.
    private static let shownScalars = 32

    private static let kinds = Request.Kind.allCases.map(\.rawValue).joined(separator: ", ")

    private static func channel(
        _ members: Members, _ bytes: UnsafeRawBufferPointer
    ) throws(RequestError) -> JSONString? {
        guard let range = members[.channel] else { return nil }
        func badChannel(_ message: String) -> RequestError { RequestError(code: .badChannel, message: message) }
        guard let name = string(range, bytes) else { throw badChannel("\"channel\" must be a string") }
        let count = name.byteCount(in: bytes, limit: ChannelName.byteCounts.upperBound)
        guard ChannelName.byteCounts.contains(count) else {
            throw badChannel("a channel's name has 1 to \(ChannelName.byteCounts.upperBound) bytes of UTF-8")
        }
        // Most names are printable ASCII without an escape, and need no further checks.
        if !name.isEscaped, bytes[name.range].allSatisfy({ (0x20...0x7E).contains($0) }) { return name }
        guard !name.hasLoneSurrogate(in: bytes) else { throw badChannel("\"channel\" has half a surrogate pair in it") }
        guard !name.hasControls(in: bytes) else { throw badChannel("a channel's name has no control characters") }
        return name
    }

    private static func position(
        _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer
    ) throws(RequestError) -> Request.Position {
        let wrong = bad(
            "\"since\" must be {\"epoch\": a string, \"seq\": a whole number}, as the channel's last message had")
        guard bytes[range.lowerBound] == UInt8(ascii: "{") else { throw wrong }
        var epoch: Range<Int>?
        var seq: Range<Int>?
        var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: bytes[..<range.upperBound]), at: range.lowerBound)
        do throws(JSONScanner.Malformed) {
            _ = scanner.take(UInt8(ascii: "{"))
            while !scanner.take(UInt8(ascii: "}")) {
                let name = try scanner.string()
                try scanner.colon()
                let value = try scanner.value()
                switch name.word(in: bytes) {
                case (word("epoch"), 5)?: epoch = value
                case (word("seq"), 3)?: seq = value
                default: break
                }
                scanner.skipSpace()
                _ = scanner.take(UInt8(ascii: ","))
            }
        } catch {
            throw wrong
        }
        guard let epoch = string(epoch, bytes), let seq, let number = wholeNumber(seq, bytes),
            epoch.byteCount(in: bytes, limit: Epoch.maximumByteCount) <= Epoch.maximumByteCount
        else { throw wrong }
        return Request.Position(epoch: epoch, seq: number)
    }

    private static func number(
        _ members: Members, _ member: Member, _ allowed: ClosedRange<UInt64>, _ bytes: UnsafeRawBufferPointer
    ) throws(RequestError) -> UInt64? {
        guard let range = members[member] else { return nil }
        guard let number = wholeNumber(range, bytes), allowed.contains(number) else {
            throw bad("\"\(member.name)\" must be a whole number from \(allowed.lowerBound) to \(allowed.upperBound)")
        }
        return number
    }
}
