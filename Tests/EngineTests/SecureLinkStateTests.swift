import Base
import TLSHandshake
import TLSRecords
import Testing

@testable import Engine

@Suite("The TLS of a connection, written down")
struct SecureLinkStateTests {
    private func link() throws -> SecureLink {
        var link = SecureLink()
        link.records = try RecordLayer(
            CipherSuite(.tls13, .aes128GCM), secretToOpen: [UInt8](repeating: 1, count: 32),
            secretToSeal: [UInt8](repeating: 2, count: 32), sealedCount: 1)
        [UInt8]([23, 3, 3, 0]).withUnsafeBytes { link.partial.append($0) }
        [UInt8](repeating: 9, count: 1_000).withUnsafeBytes { link.rest.append($0) }
        link.rest.drop(10)
        link.hasSentClose = true
        link.stage = .identified(
            ClientCertificate(
                subject: "CN=alice", names: ["alice.example", "alice@example.org"], user: "alice@example.org",
                expiresAt: 2_000_000_000))
        link.records.limitContent(code: 2)
        return link
    }

    private func written(_ link: borrowing SecureLink) -> [UInt8] {
        var state = StateWriter()
        link.write(to: &state)
        return state.bytes
    }

    @Test("Keys, what is received in part, and what is not sent yet are the same afterwards")
    func same() throws {
        let bytes = written(try link())
        let next = try bytes.reading { (state) throws(StateError) in try SecureLink(from: &state) }
        let (isWhole, restCount, partialCount) = (next.isEstablished, next.rest.count, next.partial.count)
        #expect(isWhole && restCount == 990 && partialCount == 4)
        #expect(written(next) == bytes)
        let (subject, user) = (next.clientCertificate?.subject, next.clientCertificate?.user)
        #expect(subject == "CN=alice" && user == "alice@example.org")
        let (expiresAt, sealedByteCount) = (next.clientCertificate?.expiresAt, next.records.sealedByteCount(of: 16_384))
        #expect(expiresAt == 2_000_000_000)
        // 16 records instead of one.
        #expect(sealedByteCount - 16_384 > 16 * 20)
    }

    @Test("A connection whose peer has ended it is kept: its last messages may wait")
    func ended() throws {
        var link = try link()
        link.peerHasClosed = true
        let isParkable = link.isParkable
        let bytes = written(link)
        let next = try bytes.reading { (state) throws(StateError) in try SecureLink(from: &state) }
        let peerHasClosed = next.peerHasClosed
        #expect(isParkable && peerHasClosed)
    }

    @Test("A state of before certificates of clients has none")
    func earlier() throws {
        var link = try link()
        link.stage = .established
        let bytes = written(link).dropLast(2)
        let next = try Array(bytes).reading { (state) throws(StateError) in try SecureLink(from: &state) }
        let (isWhole, certificate) = (next.isEstablished, next.clientCertificate)
        #expect(isWhole && certificate == nil)
    }

    @Test("A state of before certificates were users has none")
    func earlierUser() throws {
        var link = try link()
        link.stage = .identified(ClientCertificate(subject: "CN=alice", names: []))
        let bytes = written(link).dropLast(3)
        let next = try Array(bytes).reading { (state) throws(StateError) in try SecureLink(from: &state) }
        let (subject, user) = (next.clientCertificate?.subject, next.clientCertificate?.user)
        #expect(subject == "CN=alice" && user == nil)
    }

    @Test("A state of before certificates had an end, and records a limit, has none")
    func earlierLimit() throws {
        var link = try link()
        link.stage = .identified(ClientCertificate(subject: "CN=alice", names: [], user: "alice"))
        let bytes = written(link).dropLast(2)
        let next = try Array(bytes).reading { (state) throws(StateError) in try SecureLink(from: &state) }
        let (user, expiresAt) = (next.clientCertificate?.user, next.clientCertificate?.expiresAt)
        let sealedByteCount = next.records.sealedByteCount(of: 16_384)
        #expect(user == "alice" && expiresAt == nil)
        #expect(sealedByteCount - 16_384 < 100)
    }

    @Test("A state that is cut off or damaged is an error, or another one, and never a trap")
    func damage() throws {
        let bytes = written(try link())
        bytes.damaged(2_000, seed: 1) { damaged in
            _ = try? damaged.reading { (state) throws(StateError) in written(try SecureLink(from: &state)).count }
        }
    }
}
