import CZlib
import WebSocket

/// What is deflated for an agreed window becomes, whatever was deflated before, the same message again: in our inflater,
/// in zlib's of just that window, and in the RFC's algorithm, where no match refers back farther than agreed.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDeflate(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    var deflater = Deflater(level: Int(input.byte() % 9) + 1)
    var inflater = Inflater()
    let agreed = Int(input.byte() % 8) + 8
    // Repeated, it has matches far apart.
    let repetitions = input.choice(of: [1, 2, 4, 10, 30, 300])
    let earlier = input.bytes(Int(input.byte()))
    let some = input.rest()
    var repeated: [UInt8] = []
    for _ in 0..<repetitions where repeated.count < 40_000 { repeated += some }
    for message in [earlier, some, repeated] {
        let bits = Deflater.windowBits(forMessageOf: message.count, agreed: agreed)
        let payload: [UInt8]? = withExactCopy(of: message) {
            deflater.deflate(UnsafeRawBufferPointer($0), windowBits: bits).map(Array.init)
        }
        guard let payload else { continue }
        require(payload.count < message.count, "\(payload.count) bytes for \(message.count)")
        let same = withExactCopy(of: payload) {
            guard case .message(let bytes) = inflater.inflate(UnsafeRawBufferPointer($0), limit: message.count) else {
                return false
            }
            return bytes.elementsEqual(message)
        }
        require(same, "our inflater makes something else of it")
        let reference = try? ReferenceInflater.message(payload, limit: message.count)
        require(reference?.bytes == message, "the algorithm makes something else of it")
        require(reference!.maximumDistance <= 1 << agreed, "refers back \(reference!.maximumDistance) bytes")
        require(zlib(payload, windowBits: agreed, count: message.count) == message, "zlib makes something else of it")
    }
    return 0
}

/// What zlib, with a window of so many bits, makes of a payload.
private func zlib(_ payload: [UInt8], windowBits: Int, count: Int) -> [UInt8]? {
    var stream = z_stream()
    let begun = inflateInit2_(&stream, Int32(-windowBits), ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    require(begun == Z_OK, "inflateInit2: \(begun)")
    defer { inflateEnd(&stream) }
    var input = payload + [0x00, 0x00, 0xFF, 0xFF]
    var result = Z_OK
    let output = [UInt8](unsafeUninitializedCapacity: count + 1) { output, written in
        input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = uInt(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = uInt(output.count)
            result = inflate(&stream, Z_SYNC_FLUSH)
        }
        written = output.count - Int(stream.avail_out)
    }
    return result == Z_OK && stream.avail_in == 0 ? output : nil
}
