import Channels

/// Whatever a `json` client sends, what is read of it lies within it, is JSON by itself, and makes JSON of what goes to others.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequests(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    let bytes = input.rest()
    // What reaches the reader is UTF-8: the frame reader has seen to it.
    guard String(validating: bytes, as: UTF8.self) != nil else { return 0 }
    withExactCopy(of: bytes) { buffer in
        let bytes = UnsafeRawBufferPointer(buffer)
        let isJSON = RequestReader.isJSONValue(bytes)
        switch RequestReader.read(bytes) {
        case .success(let request):
            require(isJSON, "a request that is no JSON")
            check(request, bytes)
        case .failure(let error):
            require(!error.message.isEmpty, "an error without a message")
            if error.code != .badJSON { require(isJSON, "\(error) of what is no JSON") }
            if let id = error.id { require(isJSONValue(bytes, id), "an id that is no JSON") }
            checkString(error.message)
        }
    }
    return 0
}

private func isJSONValue(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
    RequestReader.isJSONValue(UnsafeRawBufferPointer(rebasing: bytes[range]))
}

private func check(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
    for range in [request.id, request.data].compactMap({ $0 }) {
        require(isJSONValue(bytes, range), "a part that is no JSON")
    }
    require((request.kind == .chat) == (request.data != nil), "data of a \(request.kind)")
    if let limit = request.limit { require((1...1_000).contains(limit), "a limit of \(limit)") }
    guard let channel = request.channel else { return }
    let name = channel.text(in: bytes)
    require((1...255).contains(name.utf8.count), "a channel of \(name.utf8.count) bytes")
    require(channel.equals(name, in: bytes), "a channel that is not itself")
    checkString(name)
    var message = MessageText()
    message.append("{\"channel\":")
    message.append(string: name)
    message.append(",\"data\":")
    if let data = request.data {
        message.append(raw: UnsafeRawBufferPointer(rebasing: bytes[data]))
    } else {
        message.append("0")
    }
    message.append("}")
    message.withBytes { require(RequestReader.isJSONValue($0), "what goes to others is no JSON") }
}

/// A text that is written is read as what it was.
private func checkString(_ text: String) {
    var written = MessageText()
    written.append(string: text)
    written.withBytes { bytes in
        require(RequestReader.isJSONValue(bytes), "what is written is no JSON")
        let string = JSONString(range: 1..<(bytes.count - 1), isEscaped: true)
        require(string.text(in: bytes) == text, "what is written reads otherwise")
    }
}
