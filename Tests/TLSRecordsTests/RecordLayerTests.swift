import Base
import Testing

@testable import TLSRecords

@Suite("Records, both ways")
struct RecordLayerTests {
    @Test("What one end seals is what the other opens, whatever its size and its pieces", arguments: CipherSuite.all)
    func conversation(suite: CipherSuite) throws {
        var random = Seeded()
        var pair = try RecordPair(suite, &random)
        for _ in 0..<60 {
            let pieces = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                let most = [3, 200, 20_000].randomElement(using: &random) ?? 1
                return [UInt8](
                    repeating: .random(in: 0...255, using: &random), count: .random(in: 0...most, using: &random))
            }
            let whole = Array(pieces.joined())
            if Bool.random(using: &random) {
                let records = try pair.server.sealed(pieces, pair.ciphers)
                #expect(try pair.client.opened(records, pair.ciphers) == whole, "seed \(random.seed)")
            } else {
                let records = try pair.client.sealed(pieces, pair.ciphers)
                #expect(try pair.server.opened(records, pair.ciphers) == whole, "seed \(random.seed)")
            }
            if Int.random(in: 0..<10, using: &random) == 0 {
                pair.client.owesKeyUpdate = suite.version == .tls13
                pair.server.owesKeyUpdate = suite.version == .tls13
            }
        }
    }

    @Test("A record in which any byte is another is refused", arguments: CipherSuite.all)
    func damage(suite: CipherSuite) throws {
        var random = Seeded()
        let pair = try RecordPair(suite, &random)
        var server = StateWriter()
        pair.server.write(to: &server)
        var client = try copy(of: server.bytes)
        let message = Array("a message of a client".utf8)
        var peer = StateWriter()
        pair.client.write(to: &peer)
        var sealing = try copy(of: peer.bytes)
        let record = try sealing.sealed([message], pair.ciphers)
        for index in record.indices {
            var damaged = record
            damaged[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            // A larger size makes the record incomplete, which is refused once there is more.
            damaged += [UInt8](repeating: 0, count: 40_000)
            client = try copy(of: server.bytes)
            #expect(throws: TLSFault.self, "byte \(index), seed \(random.seed)") {
                _ = try client.opened(damaged, pair.ciphers)
            }
        }
        client = try copy(of: server.bytes)
        #expect(try client.opened(record, pair.ciphers) == message)
    }

    private func copy(of state: [UInt8]) throws -> RecordLayer {
        try state.reading { (state) throws(StateError) in try RecordLayer(from: &state) }
    }

    @Test("A record can't be opened twice, left out, or opened in another place", arguments: CipherSuite.all)
    func order(suite: CipherSuite) throws {
        var random = Seeded()
        var pair = try RecordPair(suite, &random)
        let records = try (0..<3).map { try pair.client.sealed([[UInt8($0)]], pair.ciphers) }
        #expect(try pair.server.opened(records[0], pair.ciphers) == [0])
        let state = state(of: pair.server)
        for wrong in [0, 2] {
            var server = try copy(of: state)
            let fault = #expect(throws: TLSFault.self) { _ = try server.opened(records[wrong], pair.ciphers) }
            #expect(fault?.alert == .badRecordMAC)
        }
        #expect(try pair.server.opened(records[1] + records[2], pair.ciphers) == [1, 2])
    }

    private func state(of layer: borrowing RecordLayer) -> [UInt8] {
        var writer = StateWriter()
        layer.write(to: &writer)
        return writer.bytes
    }

    @Test("Another process goes on with the state, and damaged state is refused", arguments: CipherSuite.all)
    func handover(suite: CipherSuite) throws {
        var random = Seeded()
        var pair = try RecordPair(suite, &random)
        let record = try pair.client.sealed([[1, 2, 3]], pair.ciphers)
        pair.server = try copy(of: state(of: pair.server))
        #expect(try pair.server.opened(record, pair.ciphers) == [1, 2, 3])
        let answer = try pair.server.sealed([[4]], pair.ciphers)
        pair.client = try copy(of: state(of: pair.client))
        #expect(try pair.client.opened(answer, pair.ciphers) == [4])
        let whole = state(of: pair.server)
        for count in 0..<whole.count { #expect(throws: StateError.self) { _ = try copy(of: Array(whole[..<count])) } }
    }

    @Test("No number is used twice, and a nonce of TLS 1.2 is never that of the Finished message")
    func numbers() throws {
        var keys = try TrafficKeys(
            CipherSuite(.tls12, .aes128GCM), key: [UInt8](repeating: 1, count: 16),
            iv: [UInt8](repeating: 7, count: 12), sequence: 1)
        var seen: Set<[UInt8]> = [[UInt8](repeating: 7, count: 12)]
        for _ in 0..<10_000 {
            let nonce = try keys.takeNonce()
            #expect(seen.insert((0..<12).map { nonce.bytes[$0] }).inserted)
        }
    }

    @Test("New keys come when they are due, and TLS 1.2 ends then")
    func limits() throws {
        var random = Seeded()
        var pair = try RecordPair(CipherSuite(.tls13, .aes128GCM), &random)
        pair.client.sealer.keys.skip(to: RecordSealer.recordLimit)
        pair.server.opener.keys.skip(to: RecordSealer.recordLimit)
        let records = try pair.client.sealed([[1]], pair.ciphers)
        #expect(pair.client.sealer.keys.sequence == 1)
        #expect(try pair.server.opened(records, pair.ciphers) == [1])
        let owes = pair.server.owesKeyUpdate
        #expect(!owes)

        var old = try RecordPair(CipherSuite(.tls12, .aes128GCM), &random)
        old.client.sealer.keys.skip(to: RecordSealer.lastRecord)
        let fault = #expect(throws: TLSFault.self) { _ = try old.client.sealed([[1]], old.ciphers) }
        #expect(fault?.alert == .closeNotify)
    }

    @Test("A peer's close is the end of its data; other alerts end the connection", arguments: CipherSuite.all)
    func alerts(suite: CipherSuite) throws {
        var random = Seeded()
        var pair = try RecordPair(suite, &random)
        let close = try pair.client.sealed(.closeNotify, pair.ciphers)
        #expect(try pair.server.opened(close, pair.ciphers) == nil)
        let error = try pair.client.sealed(.internalError, pair.ciphers)
        let fault = #expect(throws: TLSFault.self) { _ = try pair.server.opened(error, pair.ciphers) }
        #expect(fault?.alert == nil)
    }

    @Test("After its end no secret is left")
    func wiping() throws {
        var random = Seeded()
        var pair = try RecordPair(CipherSuite(.tls13, .aes256GCM), &random)
        pair.server.wipe()
        let rest = [pair.server.opener.keys.secret, pair.server.sealer.keys.secret]
        for secret in rest { for index in 0..<48 { #expect(secret[index] == 0) } }
        for index in 0..<32 { #expect(pair.server.sealer.keys.key[index] == 0) }
        #expect(throws: TLSFault.self) { _ = try pair.server.sealed([[1]], pair.ciphers) }
    }

    @Test("A connection's records take no more than this")
    func size() { #expect(MemoryLayout<RecordLayer>.size <= 216) }
}

@Suite("Handshake messages behind the handshake")
struct KeyUpdateTests {
    private func take(_ messages: [[UInt8]], _ version: TLSVersion = .tls13) throws -> Bool {
        var random = Seeded()
        var pair = try RecordPair(CipherSuite(version, .aes128GCM), &random)
        for message in messages { try message.withUnsafeBytes { try pair.server.takeHandshake($0) } }
        return pair.server.owesKeyUpdate
    }

    @Test("New keys, with and without an answer, also in parts")
    func good() throws {
        #expect(try take([[24, 0, 0, 1, 0]]) == false)
        #expect(try take([[24, 0, 0, 1, 1]]))
        #expect(try take([[24], [0, 0], [1], [1]]))
    }

    @Test(
        "Everything else is refused with its alert",
        arguments: [
            ([24, 0, 0, 1, 2], TLSAlert.illegalParameter), ([24, 0, 0, 2, 0, 0], .decodeError),
            ([24, 0, 0, 0], .decodeError),
            ([], .unexpectedMessage), ([1, 0, 0, 0], .unexpectedMessage), ([24, 0, 0, 1, 0, 24], .unexpectedMessage),
        ])
    func bad(message: [UInt8], alert: TLSAlert) {
        let fault = #expect(throws: TLSFault.self) { _ = try take([message]) }
        #expect(fault?.alert == alert)
    }

    @Test("TLS 1.2 negotiates nothing anew")
    func renegotiation() {
        let fault = #expect(throws: TLSFault.self) { _ = try take([[1, 0, 0, 0]], .tls12) }
        #expect(fault?.alert == .noRenegotiation)
        for message: [UInt8] in [[24, 0, 0, 1, 0], [20, 0, 0, 0], []] {
            let fault = #expect(throws: TLSFault.self) { _ = try take([message], .tls12) }
            #expect(fault?.alert == .unexpectedMessage)
        }
    }
}
