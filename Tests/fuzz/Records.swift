import TLSRecords

/// Records of any type and content that a client seals arrive as they were sealed, up to the first that ends the
/// connection; with one bit changed, nothing from there on does. Bytes that nobody has sealed are refused.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRecords(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    let suite = input.choice(of: CipherSuite.all)
    let damage = input.byte() % 2 == 1 ? Int(input.byte()) : nil
    guard var client = layer(suite, isServer: false), var server = layer(suite, isServer: true) else {
        fatalError("no keys")
    }
    var records: [UInt8] = []
    var model: [UInt8] = []
    var isOver = false
    var damagedAt: Int?
    var number = 0
    while case let content = input.bytes(Int(input.byte())), !content.isEmpty, number < 64 {
        let type = input.choice(of: [ContentType.applicationData, .applicationData, .handshake, .alert])
        let before = records.count
        var output = [UInt8](repeating: 0, count: 1_024)
        let sealed = output.withUnsafeMutableBytes { try? client.seal(type, content, into: $0, with: ciphers) }
        records += output[..<(sealed ?? 0)]
        if damage == number {
            damagedAt = before + Int(input.byte()) % (records.count - before)
            records[damagedAt ?? before] ^= 1 << (input.byte() % 8)
        }
        isOver = isOver || damagedAt != nil || type != .applicationData
        if !isOver { model += content }
        number += 1
    }
    let rest = input.rest()
    let opened = open(records + rest, by: &server)
    require(opened.starts(with: model), "\(opened.count) bytes instead of \(model.count)")
    // Behind the first that is no data it depends on what that says; damage is always the end.
    require(damagedAt == nil || opened.count <= records.count, "more than was sealed")
    return 0
}

nonisolated(unsafe) private let ciphers = RecordCiphers()

/// One end of a connection with keys that everybody knows.
private func layer(_ suite: CipherSuite, isServer: Bool) -> RecordLayer? {
    if suite.version == .tls13 {
        let secrets = (0..<2).map { [UInt8](repeating: UInt8($0), count: suite.hashByteCount) }
        return try? RecordLayer(
            suite, secretToOpen: secrets[isServer ? 0 : 1], secretToSeal: secrets[isServer ? 1 : 0], sealedCount: 0)
    }
    let block = [UInt8](repeating: 7, count: suite.keyBlockByteCount)
    return try? RecordLayer(
        suite, keyBlock: block, finishedNonce: [UInt8](repeating: 1, count: suite.explicitNonceByteCount))
}

/// The data of records, up to the first that ends the connection.
private func open(_ records: [UInt8], by layer: inout RecordLayer) -> [UInt8] {
    var data: [UInt8] = []
    var rest = records[...]
    while let count = rest.withUnsafeBytes({ RecordHeader.recordByteCount($0) }), count <= rest.count {
        let isOver = withExactCopy(of: rest.prefix(count)) { record in
            switch try? layer.open(record, with: ciphers) {
            case .data(let bytes)?: data += bytes
            case .nothing?: break
            case .closed?, nil: return true
            }
            return false
        }
        if isOver { break }
        rest = rest.dropFirst(count)
    }
    layer.wipe()
    return data
}
