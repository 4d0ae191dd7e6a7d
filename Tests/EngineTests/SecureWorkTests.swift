import TLSHandshake
import Testing

@testable import Engine

@Suite("TLS of the workers", .blocking)
struct SecureWorkTests {
    @Test("Handshakes in progress take an eighth of the limit on memory at most, but each worker has a few")
    func limit() {
        #expect(SecureWork.handshakeLimit(memory: 0, workerCount: 8) == 512)
        #expect(SecureWork.handshakeLimit(memory: 4 << 30, workerCount: 8) == 512)
        #expect(SecureWork.handshakeLimit(memory: 384 << 20, workerCount: 8) == 64)
        #expect(SecureWork.handshakeLimit(memory: 1 << 20, workerCount: 64) == 16)
    }

    @Test("A context that a reload replaces is freed, also the first one, and its private keys with it")
    func reload() async throws {
        weak var first: TLSContext?
        weak var second: TLSContext?
        let hub = try hub()
        first = hub.runningConfiguration.tls
        #expect(first != nil)
        var next = hub.runningConfiguration
        next.tls = try context()
        second = next.tls
        await hub.reconfigure(next)
        #expect(first == nil)
        #expect(second != nil)
        next.tls = nil
        await hub.reconfigure(next)
        #expect(second == nil)
        await hub.stop()
    }

    private func context() throws -> TLSContext { try TLSContext([Certificates.ecdsa()], tickets: TicketKeys()) }

    private func hub() throws -> Hub {
        var configuration = EngineConfiguration()
        configuration.workerCount = 3
        configuration.tls = try context()
        return Hub(configuration)
    }
}
