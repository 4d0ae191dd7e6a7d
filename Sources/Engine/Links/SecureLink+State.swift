import Base
import TLSHandshake
import TLSRecords

/// The TLS of a connection as bytes, for the process that goes on with it: only where `isEstablished`. They hold its
/// keys, so whoever keeps them wipes them.
///
/// With sealed output that the socket has not taken (`rest`), the connection also has a backlog, perhaps an empty one. The
/// account of the memory counts `partial` as input and `rest` as frames, which the one who reads them does anew.
extension SecureLink {
    /// Whether the next process can read what this writes, and goes on with it.
    var isParkable: Bool {
        isEstablished && partial.count <= SecureLink.maximumPartialByteCount
            && rest.count <= SecureLink.maximumRestByteCount
    }

    func write(to state: inout StateWriter) {
        records.write(to: &state)
        state.write(partial.bytes)
        state.write(rest.bytes)
        state.write(hasSentClose)
        state.write(peerHasClosed)
        state.write(clientCertificate?.subject)
        if let names = clientCertificate?.names {
            state.write(count: names.count)
            for name in names { state.write(name) }
            state.write(clientCertificate?.user)
            state.write(time: clientCertificate?.expiresAt.map { $0 * 1_000 })
        }
        records.writeContentLimit(to: &state)
    }

    init(from state: inout StateReader) throws(StateError) {
        self.init()
        records = try RecordLayer(from: &state)
        partial.append(try state.bytes(atMost: SecureLink.maximumPartialByteCount))
        rest.append(try state.bytes(atMost: SecureLink.maximumRestByteCount))
        hasSentClose = try state.flag()
        peerHasClosed = try state.flag()
        // The first states had no certificates of clients, and the next no limit of the content of records.
        stage = Stage(state.isAtEnd ? nil : try ClientCertificate(from: &state))
        if !state.isAtEnd { try records.readContentLimit(from: &state) }
    }

    private static let maximumPartialByteCount = RecordHeader.byteCount + RecordHeader.maximumBodyByteCount
    /// The most that a socket may not have taken: a batch, new keys, and the end.
    private static let maximumRestByteCount = 2 * SecureWork.batchByteCount
}

extension ClientCertificate {
    fileprivate convenience init?(from state: inout StateReader) throws(StateError) {
        guard let subject = try state.optionalText(atMost: ClientCertificate.maximumSubjectByteCount) else {
            return nil
        }
        var names: [String] = []
        for _ in 0..<(try state.count(atMost: ClientCertificate.maximumNameCount)) {
            names.append(try state.text(atMost: ClientCertificate.maximumNameByteCount))
        }
        // The first certificates made nobody a user, and the next had no end.
        let user = state.isAtEnd ? nil : try state.optionalText(atMost: ClientCertificate.maximumUserByteCount)
        let expiresAt = state.isAtEnd ? nil : try state.time()
        self.init(subject: subject, names: names, user: user, expiresAt: expiresAt.map { $0 / 1_000 })
    }
}
