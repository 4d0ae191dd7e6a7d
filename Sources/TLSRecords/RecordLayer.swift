import COpenSSL
package import Glibc

/// The records of one connection after its handshake, both ways: application data in and out, alerts, and new keys.
///
/// It is 214 bytes without anything behind a pointer. Whoever ends it calls `wipe`.
package struct RecordLayer: ~Copyable {
    var sealer: RecordSealer
    var opener: RecordOpener
    /// The first bytes of a handshake message that continues in the next record, as many as are known.
    var message = InlineArray<4, UInt8>(repeating: 0)
    var messageByteCount: UInt8 = 0
    /// Whether the peer has asked for new keys of this side.
    package internal(set) var owesKeyUpdate = false
    /// The number of records without data in a row.
    var emptyCount: UInt8 = 0
    /// The number of new keys of the peer that came when it had hardly used those before.
    var hastyCount: UInt8 = 0

    /// The number of records without data that a peer may send in a row: empty ones, warnings, and new keys.
    static let maximumEmptyCount: UInt8 = 200
    /// The number of times that a peer may change its keys after fewer than `leastRecordCount` records. A change costs as
    /// much as a hundred records, and data in between does not make up for it.
    static let maximumHastyCount: UInt8 = 200
    private static let leastRecordCount = 16

    package enum Opened {
        /// Application data, in its place within the record.
        case data(UnsafeMutableRawBufferPointer)
        /// No data: new keys, a warning, or nothing at all.
        case nothing
        /// The peer sends nothing more.
        case closed
    }

    /// Records without keys, before the handshake is done: they seal and open nothing.
    package init() {
        opener = RecordOpener(TrafficKeys())
        sealer = RecordSealer(TrafficKeys())
    }

    /// The records after a handshake of TLS 1.3.
    ///
    /// - Parameter sealedCount: the number of records that the handshake has sealed with this secret: tickets.
    package init(
        _ suite: CipherSuite, secretToOpen: [UInt8], secretToSeal: [UInt8], sealedCount: UInt64
    ) throws(TLSFault) {
        self.init()
        opener = RecordOpener(try TrafficKeys(suite, secret: secretToOpen, sequence: 0))
        sealer = RecordSealer(try TrafficKeys(suite, secret: secretToSeal, sequence: sealedCount))
    }

    /// The records after a handshake of TLS 1.2, in which this side has sealed one: its Finished message.
    ///
    /// - Parameters:
    ///   - keyBlock: the two keys and the two fixed IVs, the peer's first each (RFC 5246, section 6.3).
    ///   - openedCount: the number of records that the peer has sealed: more than one, if its Finished message is in several.
    ///   - finishedNonce: the explicit nonce of the Finished message that this side has sent. Nonces are the exclusive or of
    ///     it and the record's number, which is never 0, so none is that one again.
    package init(
        _ suite: CipherSuite, keyBlock: [UInt8], openedCount: UInt64 = 1, finishedNonce: [UInt8]
    ) throws(TLSFault) {
        self.init()
        let (key, iv) = (suite.cipher.keyByteCount, suite.fixedIVByteCount)
        guard keyBlock.count >= 2 * (key + iv), finishedNonce.count == suite.explicitNonceByteCount else {
            throw TLSFault(.internalError, "a key block of the wrong size")
        }
        func keys(_ index: Int, _ explicit: [UInt8], _ sequence: UInt64) throws(TLSFault) -> TrafficKeys {
            var ivBytes = Array(keyBlock[2 * key + index * iv..<2 * key + (index + 1) * iv]) + explicit
            var bytes = Array(keyBlock[index * key..<(index + 1) * key])
            defer {
                OPENSSL_cleanse(&bytes, bytes.count)
                OPENSSL_cleanse(&ivBytes, ivBytes.count)
            }
            return try TrafficKeys(suite, key: bytes, iv: ivBytes, sequence: sequence)
        }
        opener = RecordOpener(try keys(0, [], openedCount))
        sealer = RecordSealer(try keys(1, finishedNonce, 1))
    }

    package var suite: CipherSuite { sealer.suite }

    /// The size of the records for this much application data, and for new keys before them.
    package func sealedByteCount(of contentByteCount: Int) -> Int {
        let most = 1 << Int(sealer.contentExponent)
        return sealer.keys.suite.sealedByteCount(of: contentByteCount, inRecordsOf: most)
            + RecordLayer.keyUpdateByteCount
    }

    /// The room for new keys in front of data, in bytes.
    package static let keyUpdateByteCount = 64

    /// Notes that the peer takes no larger content in a record than it has asked for (RFC 6066, section 4).
    ///
    /// - Parameter code: the number in its extension; any but those of the RFC is none.
    package mutating func limitContent(code: UInt8) {
        if 1...4 ~= code { sealer.contentExponent = 8 + code }
    }

    /// Seals application data. New keys come before it where they are due. Returns the size of the records.
    ///
    /// - Parameter output: at least `sealedByteCount` bytes that overlap with no piece.
    package mutating func seal(
        _ pieces: UnsafeBufferPointer<iovec>, into output: UnsafeMutableRawBufferPointer, with ciphers: RecordCiphers
    ) throws(TLSFault) -> Int {
        let start = try sealKeyUpdate(into: output, with: ciphers)
        return try start
            + sealer.seal(
                .applicationData, pieces, into: UnsafeMutableRawBufferPointer(rebasing: output[start...]), with: ciphers
            )
    }

    /// Seals a KeyUpdate message if new keys are due, and goes on to them (RFC 8446, section 4.6.3). Returns the size of the
    /// record, 0 for none.
    package mutating func sealKeyUpdate(
        into output: UnsafeMutableRawBufferPointer, with ciphers: RecordCiphers
    ) throws(TLSFault) -> Int {
        guard owesKeyUpdate || sealer.needsUpdate else { return 0 }
        owesKeyUpdate = false
        let count = try seal(.handshake, [HandshakeMessage.keyUpdate, 0, 0, 1, 0], into: output, with: ciphers)
        try sealer.keys.update()
        wipeStack()
        return count
    }

    /// Seals an alert. Returns the size of the record.
    package mutating func seal(
        _ alert: TLSAlert, into output: UnsafeMutableRawBufferPointer, with ciphers: RecordCiphers
    ) throws(TLSFault) -> Int {
        let level: UInt8 = alert == .closeNotify ? 1 : 2
        return try seal(.alert, [level, alert.rawValue], into: output, with: ciphers)
    }

    /// Seals a little content of any type as one record. Returns its size.
    package mutating func seal(
        _ type: ContentType, _ content: [UInt8], into output: UnsafeMutableRawBufferPointer,
        with ciphers: RecordCiphers
    ) throws(TLSFault) -> Int {
        guard !content.isEmpty else { return 0 }
        var content = content
        let count = content.count
        return try withUnsafeMutablePointer(to: &content[0]) { start throws(TLSFault) in
            var piece = iovec(iov_base: UnsafeMutableRawPointer(start), iov_len: count)
            return try withUnsafePointer(to: &piece) { piece throws(TLSFault) in
                try sealer.seal(type, UnsafeBufferPointer(start: piece, count: 1), into: output, with: ciphers)
            }
        }
    }

    /// Opens one whole record in its place.
    ///
    /// - Throws: a fault after which the connection is closed with its alert; nothing more can be opened.
    package mutating func open(
        _ record: UnsafeMutableRawBufferPointer, with ciphers: RecordCiphers
    ) throws(TLSFault) -> Opened {
        let content = try opener.open(record, with: ciphers)
        guard messageByteCount == 0 || content.type == .handshake else {
            throw TLSFault(.unexpectedMessage, "a record within a handshake message")
        }
        switch content.type {
        case .applicationData:
            guard content.bytes.isEmpty else {
                emptyCount = 0
                return .data(content.bytes)
            }
        case .alert:
            let alert = UnsafeRawBufferPointer(content.bytes)
            if try RecordLayer.isClosed(by: alert, opener.keys.suite.version) { return .closed }
        case .handshake:
            try takeHandshake(UnsafeRawBufferPointer(content.bytes))
        case .changeCipherSpec:
            throw TLSFault(.unexpectedMessage, "a change of ciphers after the handshake")
        }
        guard emptyCount < RecordLayer.maximumEmptyCount else {
            throw TLSFault(.unexpectedMessage, "more than \(emptyCount) records without data")
        }
        emptyCount += 1
        return .nothing
    }

    /// Takes an alert; true if the peer sends nothing more (RFC 8446, section 6).
    private static func isClosed(
        by alert: UnsafeRawBufferPointer, _ version: TLSVersion
    ) throws(TLSFault) -> Bool {
        guard !alert.isEmpty || version == .tls12 else { throw TLSFault(.unexpectedMessage, "an empty alert") }
        guard alert.count == 2 else { throw TLSFault(.decodeError, "an alert of \(alert.count) bytes") }
        let (level, kind) = (alert[0], TLSAlert(rawValue: alert[1]))
        if kind == .closeNotify { return true }
        // In TLS 1.3 all alerts but two end the connection, whatever their level.
        if kind == .userCanceled || version == .tls12 && level == 1 { return false }
        throw TLSFault(nil, "the client sent the alert \(kind.rawValue)")
    }

    /// Overwrites what is secret. Nothing can be sealed or opened after that.
    package mutating func wipe() {
        sealer.keys.wipe()
        opener.keys.wipe()
    }
}

/// The messages of a handshake that come after it.
enum HandshakeMessage {
    static let clientHello: UInt8 = 1
    static let keyUpdate: UInt8 = 24
}

extension RecordLayer {
    private mutating func countKeyUpdate() throws(TLSFault) {
        guard opener.keys.sequence < RecordLayer.leastRecordCount else { return }
        guard hastyCount < RecordLayer.maximumHastyCount else {
            throw TLSFault(.unexpectedMessage, "more than \(hastyCount) changes of keys that were hardly used")
        }
        hastyCount += 1
    }

    /// Takes bytes of handshake messages. After a handshake only a KeyUpdate is expected, which ends with its record (RFC
    /// 8446, sections 4.6.3 and 5.1).
    mutating func takeHandshake(_ bytes: UnsafeRawBufferPointer) throws(TLSFault) {
        guard let type = bytes.first else { throw TLSFault(.unexpectedMessage, "an empty handshake record") }
        guard suite.version == .tls13 else {
            guard type == HandshakeMessage.clientHello else {
                throw TLSFault(.unexpectedMessage, "a handshake message of type \(type)")
            }
            throw TLSFault(.noRenegotiation, "the client wants to negotiate anew")
        }
        for (index, byte) in bytes.enumerated() {
            switch messageByteCount {
            case 0:
                guard byte == HandshakeMessage.keyUpdate else {
                    throw TLSFault(.unexpectedMessage, "a handshake message of type \(byte)")
                }
                fallthrough
            case 1...3:
                message[Int(messageByteCount)] = byte
                messageByteCount += 1
                if messageByteCount == 4, message[1] != 0 || message[2] != 0 || message[3] != 1 {
                    throw TLSFault(.decodeError, "a KeyUpdate of the wrong size")
                }
            default:
                guard byte <= 1 else { throw TLSFault(.illegalParameter, "a KeyUpdate with the value \(byte)") }
                guard index == bytes.count - 1 else {
                    throw TLSFault(.unexpectedMessage, "a handshake message behind a KeyUpdate")
                }
                messageByteCount = 0
                try countKeyUpdate()
                try opener.keys.update()
                wipeStack()
                if byte == 1 { owesKeyUpdate = true }
            }
        }
    }
}
