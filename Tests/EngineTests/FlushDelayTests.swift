import Settings
import Testing

@testable import Engine

@Suite(.blocking) struct FlushDelayTests {
    @Test func whatWaitsComesWholeAndInOrder() async throws {
        try await withHub({ $0.server.flushDelay = .milliseconds(5) }) { _, port in
            let clients = try (0..<4).map { _ in try TestClient(port: port).opened() }
            for number in 0..<100 { clients[number % 4].send(2, [UInt8(number % 4), UInt8(number)]) }
            var orders: [[[UInt8]]] = []
            for client in clients { orders.append(try (0..<100).map { _ in try client.frame().payload }) }
            for order in orders { #expect(order == orders[0]) }
            for sender in 0..<4 {
                let own = orders[0].filter { $0[0] == UInt8(sender) }.map { Int($0[1]) }
                #expect(own == Array(stride(from: sender, to: 100, by: 4)))
            }
        }
    }

    /// The delay is so long that only the close can have brought the messages.
    @Test func whoClosesHasItsMessagesFirst() async throws {
        try await withHub({
            $0.server.flushDelay = .seconds(3_600)
            $0.workerCount = 1
        }) { _, port in
            let leaving = try TestClient(port: port).opened()
            let staying = try TestClient(port: port).opened()
            leaving.send(1, [65])
            leaving.send(8, [0x03, 0xE8])
            #expect(try leaving.frame() == .init(opcode: 1, payload: [65]))
            #expect(try leaving.frame().opcode == 8)
            #expect(try staying.frame() == .init(opcode: 1, payload: [65]))
        }
    }

    @Test func aNewcomerDoesNotHearWhatWaited() async throws {
        try await withHub({
            $0.server.flushDelay = .seconds(3_600)
            $0.workerCount = 1
        }) { _, port in
            let sender = try TestClient(port: port).opened()
            sender.send(1, [65])
            sender.send(9, [])
            // The pong says that the message before it has been read.
            #expect(try sender.frame().opcode == 10)
            let newcomer = try TestClient(port: port).opened()
            #expect(try sender.frame() == .init(opcode: 1, payload: [65]))
            newcomer.send(1, [66])
            newcomer.send(8, [0x03, 0xE8])
            #expect(try newcomer.frame() == .init(opcode: 1, payload: [66]))
        }
    }
}
