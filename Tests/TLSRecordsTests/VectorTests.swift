import Testing

@testable import TLSRecords

/// The example of RFC 8448, section 3.
@Suite("The vectors of RFC 8448")
struct VectorTests {
    private static let client = bytes("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
    private static let server = bytes("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
    private static let message = (0..<50).map { UInt8($0) }

    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    @Test("Keys follow from the traffic secrets")
    func keys() throws {
        let suite = CipherSuite(.tls13, .aes128GCM)
        let keys = try TrafficKeys(suite, secret: Self.server, sequence: 0)
        #expect((0..<16).map { keys.key[$0] } == Self.bytes("9f02283b6c9c07efc26bb9f2ac92e356"))
        #expect((0..<12).map { keys.iv[$0] } == Self.bytes("cf782b88dd83549aadf1e984"))
        let others = try TrafficKeys(suite, secret: Self.client, sequence: 0)
        #expect((0..<16).map { others.key[$0] } == Self.bytes("17422dda596ed5d9acd890e3c63f5051"))
        #expect((0..<12).map { others.iv[$0] } == Self.bytes("5b78923dee08579033e523d9"))
    }

    @Test("The application data of both sides, and their closes")
    func records() throws {
        let suite = CipherSuite(.tls13, .aes128GCM)
        let ciphers = RecordCiphers()
        // The server has sealed a ticket before.
        var server = try RecordLayer(suite, secretToOpen: Self.client, secretToSeal: Self.server, sealedCount: 1)
        #expect(
            try server.opened(
                Self.bytes(
                    """
                    1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a\
                    6292a2977014bd1e3deae63aeebb21694915e40a
                    """), ciphers) == Self.message)
        let sealed = try server.sealed([Array(Self.message[..<20]), Array(Self.message[20...])], ciphers)
        #expect(
            sealed
                == Self.bytes(
                    """
                    17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2\
                    e5f0a21c0047c2abf332540dd032e167c2955d
                    """))
        #expect(try server.opened(Self.bytes("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"), ciphers) == nil)
        #expect(
            try server.sealed(.closeNotify, ciphers) == Self.bytes("1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"))
    }

    @Test("The pseudorandom function of TLS 1.2 with SHA-256")
    func pseudorandom() throws {
        // The vector of the IETF's list of 2009, which later drafts repeat.
        let output = try KeySchedule.expandTLS12(
            Self.bytes("9bbe436ba940f017b17652849a71db35"), label: "test label",
            seed: Self.bytes("a0ba9f936cda311827a6f796ffd5198c"), byteCount: 100, usesSHA384: false)
        #expect(
            output
                == Self.bytes(
                    """
                    e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f707\
                    7def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66
                    """))
    }
}
