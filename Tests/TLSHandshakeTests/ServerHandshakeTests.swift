import COpenSSL
import TLSRecords
import Testing

@testable import TLSHandshake

@Suite("A server's handshakes, and the records behind them, with OpenSSL as the client")
struct ServerHandshakeTests {
    private let tickets = TicketKeys()

    private func context(minimumVersion: TLSVersion = .tls12) throws -> TLSContext {
        try TLSContext(
            [Certificates.ecdsa(), Certificates.rsa(), Certificates.other()], minimumVersion: minimumVersion,
            tickets: tickets)
    }

    static let suites = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ]

    @Test("Random conversations with every suite, with new keys in between", arguments: suites)
    func model(suite: String) throws {
        var random = Seeded()
        let version: TLSVersion = suite.hasPrefix("TLS_") ? .tls13 : .tls12
        let early = Array("behind the handshake".utf8)
        let conversation = try Conversation(
            try context(), .init(suite: suite, version: version), early: version == .tls13 ? early : [])
        #expect(conversation.server.suite.version == version)
        if version == .tls13 { #expect(try conversation.open() == early) }
        for _ in 0..<100 {
            let most = [10, 1_000, 40_000].randomElement(using: &random) ?? 1
            let message = [UInt8](
                repeating: .random(in: 0...255, using: &random), count: .random(in: 1...most, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0 where version == .tls13:
                conversation.client.updateKeys(wantsAnswer: Bool.random(using: &random))
            case 0..<4:
                conversation.client.write(message)
                #expect(try conversation.open() == message, "seed \(random.seed)")
            default:
                try conversation.send(message)
                #expect(conversation.client.read() == message, "seed \(random.seed)")
            }
        }
        try conversation.close()
        _ = conversation.client.read()
        #expect(conversation.client.hasClosed)
        SSL_shutdown(conversation.client.ssl)
        #expect(try conversation.open() == nil)
    }

    @Test(
        "A client that takes only small records gets them, and no others when its session is resumed", arguments: suites
    )
    func contentLimit(suite: String) throws {
        let version: TLSVersion = suite.hasPrefix("TLS_") ? .tls13 : .tls12
        for limit: UInt8 in 1...4 {
            let options = OpenSSLClient.Options(suite: suite, version: version, contentLimit: limit)
            let first = try Conversation(try context(), options)
            for size in [1, 511, 512, 513, 5_000] + (limit == 1 ? [64 * 1024] : []) {
                let message = [UInt8](repeating: limit, count: size)
                let sealed = try first.server.sealed([message], first.ciphers)
                #expect(sealed.count - size <= RecordHeader.maximumOverhead(of: size))
                first.client.receive(sealed)
                #expect(first.client.read() == message, "\(size) bytes")
            }
            let session = SSL_get1_session(first.client.ssl)
            defer { SSL_SESSION_free(session) }
            var again = options
            again.session = session
            let second = try Conversation(try context(), again)
            #expect(second.client.isResumed)
            try second.send([UInt8](repeating: 1, count: 5_000))
            #expect(second.client.read().count == 5_000)
        }
    }

    @Test("A hello that is too long is refused at its head, without OpenSSL, whatever comes before it")
    func tooLong() throws {
        let head: [UInt8] = [22, 3, 1, 0, 4, 1, 0, 0x80, 1]
        let starts: [[[UInt8]]] = [
            [head], [[22, 3, 1, 0, 0], head], [[22, 3, 1, 0, 1, 1], [22, 3, 1, 0, 2, 0, 0x80], [22, 3, 1, 0, 1, 1]],
        ]
        for records in starts {
            let handshake = try ServerHandshake(try context())
            for (index, record) in records.enumerated() {
                var answer: [UInt8] = []
                let step = record.withUnsafeBytes { handshake.take($0, answer: &answer) }
                guard index == records.count - 1 else { continue }
                #expect(step == .failed("a hello of more than 32768 bytes"))
                #expect(answer == [21, 3, 3, 0, 2, 2, 47])
            }
        }
    }

    @Test("A handshake in ever more records is refused")
    func manyRecords() throws {
        let handshake = try ServerHandshake(try context())
        var answer: [UInt8] = []
        // The hello says that it has thirty thousand bytes.
        let head: [UInt8] = [22, 3, 1, 0, 4, 1, 0, 0x75, 0x30]
        #expect(head.withUnsafeBytes { handshake.take($0, answer: &answer) } == .needsMore)
        let record: [UInt8] = [22, 3, 1, 0, 1, 3]
        for _ in 1..<2048 {
            #expect(record.withUnsafeBytes { handshake.take($0, answer: &answer) } == .needsMore)
        }
        let end = record.withUnsafeBytes { handshake.take($0, answer: &answer) }
        #expect(end == .failed("a handshake in more than 2048 records"))
        #expect(answer == [21, 3, 3, 0, 2, 2, 47])
    }

    @Test("A second hello that is too long is refused as the first is")
    func secondHello() throws {
        // It has a group that the server has, and no share for it.
        let client = try OpenSSLClient(.init(version: .tls13))
        let groups = ("P-521:P-256" as StaticString).utf8Start
        SSL_ctrl(client.ssl, SSL_CTRL_SET_GROUPS_LIST, 0, UnsafeMutableRawPointer(mutating: groups))
        client.handshake()
        let handshake = try ServerHandshake(try context())
        var answer: [UInt8] = []
        let hello = client.takeOutput()
        let step = hello.withUnsafeBytes { handshake.take($0, answer: &answer) }
        #expect(step == .needsMore && answer.first == 22)
        let change: [UInt8] = [20, 3, 3, 0, 1, 1]
        #expect(change.withUnsafeBytes { handshake.take($0, answer: &answer) } == .needsMore)
        let second: [UInt8] = [22, 3, 3, 0, 4, 1, 0, 0xFF, 0xFF]
        let end = second.withUnsafeBytes { handshake.take($0, answer: &answer) }
        #expect(end == .failed("a hello of more than 32768 bytes"))
    }

    @Test("A record of OpenSSL in which any bit is another is refused", arguments: suites)
    func damage(suite: String) throws {
        let version: TLSVersion = suite.hasPrefix("TLS_") ? .tls13 : .tls12
        let context = try context()
        for index in 0..<40 {
            let conversation = try Conversation(context, .init(suite: suite, version: version))
            conversation.client.write(Array("20 bytes, no padding".utf8))
            conversation.received += conversation.client.takeOutput()
            guard index < conversation.received.count else { continue }
            conversation.received[index] ^= 1 << UInt8(index % 8)
            conversation.received += [UInt8](repeating: 0, count: 17_000)
            #expect(throws: TLSFault.self, "byte \(index)") { _ = try conversation.open() }
        }
    }

    @Test("A session is resumed with a ticket, also after a change of certificates", arguments: TLSVersion.allCases)
    func resumption(version: TLSVersion) throws {
        let first = try Conversation(try context(), .init(version: version))
        try first.send([1])
        #expect(first.client.read() == [1])
        #expect(!first.client.isResumed)
        let session = SSL_get1_session(first.client.ssl)
        defer { SSL_SESSION_free(session) }
        let second = try Conversation(try context(), .init(version: version, session: session))
        #expect(second.client.isResumed)
        second.client.write([2])
        #expect(try second.open() == [2])
        try second.send([3])
        #expect(second.client.read() == [3])
        let stranger = try TLSContext([Certificates.ecdsa()], tickets: TicketKeys())
        let third = try Conversation(stranger, .init(version: version, session: session))
        #expect(!third.client.isResumed)
    }

    @Test("A client is shown the certificate for its host, of the kind of key that it takes")
    func names() throws {
        let context = try context()
        func shown(_ host: String?, _ suite: String? = nil) throws -> Conversation {
            try Conversation(context, .init(suite: suite, version: .tls12, host: host))
        }
        let other = try shown("other.example")
        #expect(other.client.isShown("other.example"))
        let wildcard = try shown("A.other.example.test")
        #expect(wildcard.client.isShown("a.other.example.test"))
        for host in [nil, "unknown.example", "b.a.other.example.test"] {
            let unknown = try shown(host)
            #expect(unknown.client.isShown("localhost"))
        }
        let ecdsa = try shown("localhost", "ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(ecdsa.client.serverKeyKind == "EC")
        let rsa = try shown("localhost", "ECDHE-RSA-AES128-GCM-SHA256")
        #expect(rsa.client.serverKeyKind == "RSA")
    }

    @Test("What is not agreed on is no connection: suites, versions, protocols")
    func refusals() throws {
        let context = try context()
        #expect(throws: OpenSSLClient.Failure.self) {
            _ = try Conversation(context, .init(suite: "ECDHE-RSA-AES128-SHA", version: .tls12))
        }
        #expect(throws: OpenSSLClient.Failure.self) { _ = try Conversation(context, .init(protocols: ["h2"])) }
        let newest = try self.context(minimumVersion: .tls13)
        #expect(throws: OpenSSLClient.Failure.self) { _ = try Conversation(newest, .init(version: .tls12)) }
        let agreed = try Conversation(context, .init(protocols: ["h2", "http/1.1"]))
        #expect(agreed.server.suite.version == .tls13)
    }

    @Test("Anything but TLS is an error with a reason and an alert")
    func noise() throws {
        var random = Seeded()
        let context = try context()
        for _ in 0..<200 {
            let handshake = try ServerHandshake(context)
            var answer: [UInt8] = []
            let count = Int.random(in: 1...300, using: &random)
            let noise = [22, 3, 1] + (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let step = noise.withUnsafeBytes { handshake.take($0, answer: &answer) }
            #expect(step != .done)
            var records = RecordLayer()
            #expect(throws: TLSFault.self) { try handshake.makeRecords(&records) }
        }
    }
}

@Suite("A look at a client's first bytes")
struct ClientHelloTests {
    private func look(_ bytes: [UInt8]) -> ClientHello.Look { bytes.withUnsafeBytes { ClientHello.look($0) } }

    @Test("A hello is complete when its last byte is there, however it is cut")
    func cuts() throws {
        let client = try OpenSSLClient()
        client.handshake()
        let hello = client.takeOutput()
        for count in 0..<hello.count { #expect(look(Array(hello[..<count])) == .incomplete, "\(count) bytes") }
        #expect(look(hello) == .complete)
        // The same in records of a byte each.
        let small = hello[5...].flatMap { byte -> [UInt8] in [22, 3, 1, 0, 1, byte] }
        #expect(look(small) == .complete)
        #expect(look(Array(small.dropLast())) == .incomplete)
    }

    @Test("HTTP is another protocol; what can be no hello is for OpenSSL to refuse")
    func others() {
        #expect(look(Array("GET / HTTP/1.1\r\n".utf8)) == .otherProtocol)
        #expect(look([22, 3, 1, 0x7F, 0xFF]) == .complete)
        // A record without anything says nothing yet; OpenSSL refuses it with the rest.
        #expect(look([22, 3, 1, 0, 0]) == .incomplete)
        #expect(look([22, 3, 1, 0, 4, 1, 0, 1, 0, 22, 3, 1, 0, 0]) == .incomplete)
        // More than is kept, as its head says.
        #expect(look([22, 3, 1, 0, 4, 1, 0, 0x80, 0]) == .incomplete)
        #expect(look([22, 3, 1, 0, 4, 1, 0, 0x80, 1]) == .complete)
        #expect(look([22, 3, 1, 0, 4, 2, 0, 0, 0]) == .complete)
        #expect(look([22, 3, 1, 0, 4, 1, 0, 0, 0]) == .complete)
        #expect(look([UInt8](repeating: 22, count: 40_000)) == .complete)
    }
}

@Suite("Certificates and the keys of tickets")
struct ServerCertificateTests {
    @Test("Names, the kind of key and the time of its end")
    func good() throws {
        let certificate = try Certificates.ecdsa()
        #expect(certificate.names == ["localhost", "*.localhost.test"])
        #expect(certificate.keyKind == "EC")
        #expect(certificate.expiresAt > 4_000_000_000)
        #expect(certificate.isFor("a.localhost.test"))
        #expect(!certificate.isFor(".localhost.test") && !certificate.isFor("a.b.localhost.test"))
    }

    @Test("Each mistake is named, with its file")
    func bad() {
        func error(_ certificate: String, _ key: String, now: Int64 = 1_800_000_000) -> CertificateError? {
            do throws(CertificateErrors) {
                _ = try Certificates.make(certificate, key, now: now)
                return nil
            } catch { return error.errors.first }
        }
        #expect(error("", Certificates.ecdsaKey)?.description.contains("no certificate") == true)
        #expect(error(Certificates.ecdsaCertificate, "")?.file == .key)
        let mixed = error(Certificates.ecdsaCertificate, Certificates.rsaKey)
        #expect(mixed?.description == "it is not the key of the certificate")
        let late = error(Certificates.ecdsaCertificate, Certificates.ecdsaKey, now: 9_000_000_000)
        #expect(late?.description.contains("expired on 21") == true)
        let early = error(Certificates.ecdsaCertificate, Certificates.ecdsaKey, now: 1)
        #expect(early?.description.contains("not valid before 20") == true)
        let all = #expect(throws: CertificateErrors.self) {
            try Certificates.make(
                Certificates.ecdsaCertificate + "\n" + Certificates.rsaCertificate, Certificates.rsaKey,
                now: 9_000_000_000)
        }
        #expect(all?.errors.map(\.file) == [.certificate, .certificate, .key])
        #expect(all?.description.contains("out of order") == true && all?.description.contains("expired on") == true)
        let chain = Certificates.ecdsaCertificate + "\n" + Certificates.rsaCertificate
        let disorder = error(chain, Certificates.ecdsaKey)?.description
        #expect(
            disorder?.contains("certificate 2 in it, CN=localhost, is not that of the issuer of certificate 1") == true)
    }

    @Test("A damaged certificate in the file is named by its number, wherever it is, and what is none is passed over")
    func damagedBlock() throws {
        func mistake(_ text: String) -> String? {
            do throws(CertificateError) {
                for found in try ServerCertificate.certificates(in: Array(text.utf8), atMost: 4) { X509_free(found) }
                return nil
            } catch { return error.description }
        }
        let (one, other) = (Certificates.ecdsaCertificate + "\n", Certificates.otherCertificate + "\n")
        #expect(mistake("# the chain\n" + one + Certificates.ecdsaKey + "\n" + other + "the end\n") == nil)
        let damages: [(String) -> String] = [
            { $0.replacing("MII", with: "M?I") }, { $0.replacing("MII", with: "MIA") },
            { $0.replacing("-----END CERTIFICATE-----", with: "") },
            { String($0.prefix($0.count / 2)) + "\n" },
        ]
        for (index, damage) in damages.enumerated() {
            #expect(
                mistake(one + damage(other) + one)?.contains("certificate 2 in it can't be read") == true, "\(index)")
            #expect(mistake(damage(one) + other)?.contains("certificate 1 in it can't be read") == true, "\(index)")
            #expect(mistake(one + other + damage(one))?.contains("certificate 3 in it can't") == true, "\(index)")
        }
        #expect(mistake(String(repeating: one, count: 5)) == "there are more than 4 certificates in it")
    }

    @Test("A certificate that is signed by itself lacks nothing")
    func selfSigned() throws {
        #expect(try Certificates.ecdsa().gap == nil)
    }

    @Test("A key seals for half a day and opens for another half")
    func rotation() throws {
        let keys = TicketKeys()
        let half = 12 * 3600
        let first = try #require(keys.sealing(at: 1_000))
        #expect(keys.sealing(at: 999 + half) === first)
        let second = try #require(keys.sealing(at: 1_000 + half))
        #expect(!second.bytes.elementsEqual(first.bytes))
        Array(first.name).withUnsafeBytes { name in
            #expect(keys.key(named: name, at: 1_000 + half)?.isNewest == false)
            #expect(keys.key(named: name, at: 1_000 + 2 * half) == nil)
        }
        #expect(keys.parked.map(\.madeAt) == [1_000 + half])
    }
}
