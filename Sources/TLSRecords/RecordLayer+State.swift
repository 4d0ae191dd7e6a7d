package import Base

/// The state of a connection's records as bytes, for the process that goes on with it. They hold its keys: whoever keeps them
/// wipes them.
///
/// Between two calls the state is whole: the partial record that a connection has received, and the sealed bytes that its
/// socket has not taken, are kept by their owner.
extension RecordLayer {
    package func write(to state: inout StateWriter) {
        state.write(byte: suite.version.rawValue)
        state.write(byte: suite.cipher.rawValue)
        opener.keys.write(to: &state)
        sealer.keys.write(to: &state)
        state.write((0..<Int(messageByteCount)).map { message[$0] })
        state.write(owesKeyUpdate)
        state.write(emptyCount)
    }

    /// Writes the largest content that the peer takes, which the first states did not have: apart, behind what they had.
    package func writeContentLimit(to state: inout StateWriter) { state.write(byte: sealer.contentExponent) }

    package mutating func readContentLimit(from state: inout StateReader) throws(StateError) {
        sealer.contentExponent = try state.byte()
        try state.require(
            RecordHeader.contentExponents.contains(sealer.contentExponent), "a limit of the content of records")
    }

    package init(from state: inout StateReader) throws(StateError) {
        self.init()
        let version = TLSVersion(rawValue: try state.byte())
        let cipher = RecordCipher(rawValue: try state.byte())
        guard let version, let cipher else { throw state.error("a cipher suite") }
        let suite = CipherSuite(version, cipher)
        opener = RecordOpener(try TrafficKeys(suite, from: &state))
        sealer = RecordSealer(try TrafficKeys(suite, from: &state))
        let part = try state.bytes(atMost: 4)
        for (index, byte) in part.enumerated() { message[index] = byte }
        messageByteCount = UInt8(part.count)
        owesKeyUpdate = try state.flag()
        emptyCount = try state.number()
        try state.require(emptyCount <= RecordLayer.maximumEmptyCount, "a count of records without data")
    }
}

extension TrafficKeys {
    fileprivate func write(to state: inout StateWriter) {
        state.write((0..<48).map { secret[$0] })
        state.write((0..<32).map { key[$0] })
        state.write((0..<12).map { iv[$0] })
        state.write(sequence)
    }

    fileprivate init(_ suite: CipherSuite, from state: inout StateReader) throws(StateError) {
        let (secret, key, iv) = (try state.bytes(), try state.bytes(), try state.bytes())
        try state.require(secret.count == 48 && key.count == 32 && iv.count == 12, "keys of the wrong size")
        self.init(suite, secret: secret, key: key, iv: iv, sequence: try state.number())
    }
}
