import Settings
import Testing
import WebSocket

@testable import Engine

@Suite(.blocking) struct CompressionTests {
    private let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    private let smallOffer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"

    private func inflate(_ payload: [UInt8]) -> [UInt8]? {
        var inflater = Inflater()
        return payload.withUnsafeBytes {
            guard case .message(let bytes) = inflater.inflate($0, limit: 1 << 20) else { return nil }
            return Array(bytes)
        }
    }

    /// Over three workers, so that the channel's home is another one than the sender's for two of three.
    @Test func eachSubscriberGetsTheEncodingItAgreedTo() async throws {
        try await withHub { _, port in
            let plain = try (0..<3).map { _ in try TestClient(port: port).opened() }
            let deflating = try (0..<3).map { _ in try TestClient(port: port, fields: offer).opened() }
            let small = try (0..<3).map { _ in try TestClient(port: port, fields: smallOffer).opened() }
            // Until every worker's interest has reached the home, a message may come plain; these pass that time.
            for client in plain + deflating + small {
                client.send(2, [0])
                for other in plain + deflating + small { _ = try other.frame() }
            }
            let message = Array(String(repeating: "the price of everything ", count: 100).utf8)
            for sender in [plain[0], deflating[1], small[2]] {
                sender.send(1, message)
                for client in plain { #expect(try client.frame() == .init(opcode: 1, payload: message)) }
                for client in deflating + small {
                    let frame = try client.frame()
                    #expect(frame.payload.count < message.count / 4)
                    #expect(inflate(frame.payload) == message)
                }
            }
        }
    }

    @Test func aMessageBelowTheThresholdIsSentPlain() async throws {
        try await withHub({ $0.websocket.compressionThresholdByteCount = 100 }) { _, port in
            let client = try TestClient(port: port, fields: offer).opened()
            for size in [99, 100] {
                let message = [UInt8](repeating: 65, count: size)
                client.send(1, message)
                let frame = try client.frame()
                #expect((frame.payload == message) == (size < 100))
            }
        }
    }

    @Test func whatIsSharedByWindowsIsDeflatedOnce() {
        let configuration = EngineConfiguration()
        let context = WorkerContext(configuration: configuration, events: AsyncStream.makeStream().continuation)
        let worker = Worker(index: 0, context: context, configuration)
        let encodings = (8...15).reduce(into: Encoding.Set(Encoding(.relay))) {
            $0.insert(.init(Encoding(.relay, PermessageDeflate(serverMaximumWindowBits: $1))))
        }
        func segments(_ size: Int) -> [Segment] {
            let bytes = [UInt8](repeating: 7, count: size)
            let plain = bytes.withUnsafeBytes { Segment(.binary, payload: $0) }
            var publication = Delivery([plain, nil], for: encodings)
            worker.compress(&publication, for: encodings)
            return encodings.deflating.map { publication[$0]! }
        }
        // With its header a message of 300 bytes fits into a window of 9 bits, one of 5,000 into one of 13.
        #expect(Set(segments(300).map(ObjectIdentifier.init)).count == 2)
        #expect(Set(segments(5_000).map(ObjectIdentifier.init)).count == 6)
        #expect(Set(segments(100).map(ObjectIdentifier.init)).count == 1)
    }
}
