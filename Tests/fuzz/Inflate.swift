import WebSocket

/// An inflater says of a message what a fresh one says and what the RFC's algorithm, done bit by bit, says, whatever came
/// before.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzInflate(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    let limits = [65_536, 0, 1, 10, 1_000, 65_535, 200_000]
    let earlierLimit = input.choice(of: limits)
    let limit = input.choice(of: limits)
    let earlier = input.bytes(Int(input.byte()))
    let payload = input.rest()

    var used = Inflater()
    _ = inflate(earlier, limit: earlierLimit, &used)
    var fresh = Inflater()
    let expected = reference(payload, limit: limit)
    let first = inflate(payload, limit: limit, &fresh)
    require(first == expected, "\(first) instead of \(expected)")
    let second = inflate(payload, limit: limit, &used)
    require(second == expected, "after another message \(second) instead of \(expected)")
    return 0
}

private enum Inflated: Equatable {
    case message([UInt8])
    case corrupt
    case tooLarge
    case tooManyBlocks
}

private func inflate(_ payload: [UInt8], limit: Int, _ inflater: inout Inflater) -> Inflated {
    withExactCopy(of: payload) {
        switch inflater.inflate(UnsafeRawBufferPointer($0), limit: limit) {
        case .message(let bytes): .message(Array(bytes))
        case .corrupt: .corrupt
        case .tooLarge: .tooLarge
        case .tooManyBlocks: .tooManyBlocks
        }
    }
}

private func reference(_ payload: [UInt8], limit: Int) -> Inflated {
    guard !payload.isEmpty else { return .message([]) }
    do throws(ReferenceInflater.Failure) {
        return .message(try ReferenceInflater.message(payload, limit: limit).bytes)
    } catch {
        switch error {
        case .corrupt: return .corrupt
        case .tooLarge: return .tooLarge
        case .tooManyBlocks: return .tooManyBlocks
        }
    }
}
