import Glibc
import NIOPosix
import Synchronization
import Testing
import Varlink
import VarlinkServer

@Suite("A server that is treated badly", .blocking)
struct VarlinkServerRobustnessTests {
    /// A call that must still be answered.
    private func expectAlive(_ socket: ServedSocket) throws {
        let reply: TestInterface.Text = try VarlinkClient(path: socket.path)
            .call("test.it.Echo", TestInterface.Text(text: "alive"))
        #expect(reply.text == "alive")
    }

    private static let notVarlink: [String] = [
        "nonsense", "", "[]", "{}", #"{"method":7}"#, #"{"method":"a.b.C","more":"yes"}"#, "GET / HTTP/1.1\r\n\r\n",
        String(repeating: "[", count: 200_000), String(repeating: #"{"x":"#, count: 50_000),
    ]

    @Test("closes a connection that doesn't speak Varlink", arguments: notVarlink)
    func malformed(_ message: String) async throws {
        try await withServer { socket in
            let raw = try RawSocket(socket.path)
            // What follows it isn't looked at any more.
            raw.send(message + "\0" + #"{"method":"org.varlink.service.GetInfo"}"# + "\0")
            #expect(try raw.receive() == nil)
            eventually("it is logged") { socket.events().contains { $0.contains("malformed") } }
            try expectAlive(socket)
        }
    }

    @Test("closes a connection whose call is longer than it takes, before it has all of it")
    func tooLong() async throws {
        var limits = VarlinkServer.Limits()
        limits.callByteCount = 100_000
        try await withServer(limits: limits) { socket in
            let raw = try RawSocket(socket.path)
            let piece = String(repeating: "x", count: 65_536)
            var count = 0
            while count < 1000, raw.send(piece) { count += 1 }
            #expect(count < 1000)
            try expectAlive(socket)
        }
    }

    @Test("closes the connection of a method that fails in an unforeseen way, and says so in the log")
    func unforeseen() async throws {
        try await withServer { socket in
            let client = try VarlinkClient(path: socket.path)
            #expect(throws: VarlinkClientError.disconnected(path: socket.path)) {
                try client.call("test.it.Break", returning: NoParameters.self)
            }
            #expect(socket.events().contains { $0.contains("Unforeseen") })
            try expectAlive(socket)
        }
    }

    @Test("holds one reply for a client that doesn't read, and answers the others meanwhile")
    func slowReader() async throws {
        try await withServer { socket in
            let raw = try RawSocket(socket.path)
            raw.send(#"{"method":"test.it.Flood","more":true}"# + "\0")
            #expect(try raw.receive() != nil)
            // The producer comes to rest when the socket is full; a gigabyte waits behind it.
            var last = -1
            eventually("the producer rests") {
                let now = TestInterface.flooded.withLock { $0 }
                defer { last = now }
                usleep(50_000)
                return now == last
            }
            #expect(TestInterface.flooded.withLock { $0 } < 200)
            try expectAlive(socket)
        }
    }

    @Test("cancels a stream whose client has gone")
    func disappears() async throws {
        try await withServer { socket in
            let before = TestInterface.cancelled.withLock { $0 }
            do {
                let raw = try RawSocket(socket.path)
                raw.send(#"{"method":"test.it.WaitForever","more":true}"# + "\0")
                #expect(try raw.receive() == #"{"continues":true,"parameters":{"count":0}}"#)
            }
            eventually("the stream is cancelled") { TestInterface.cancelled.withLock { $0 } > before }
        }
    }

    @Test("survives clients that go without reading their replies")
    func goneBeforeReply() async throws {
        try await withServer { socket in
            for _ in 0..<50 {
                let raw = try RawSocket(socket.path)
                raw.send(String(repeating: #"{"method":"org.varlink.service.GetInfo"}"# + "\0", count: 50))
            }
            try expectAlive(socket)
        }
    }

    @Test("closes connections beyond its limits at once, and takes new ones when there is room again")
    func limits() async throws {
        var limits = VarlinkServer.Limits()
        limits.connectionsPerUser = 2
        try await withServer(limits: limits) { socket in
            var first: RawSocket? = try RawSocket(socket.path)
            let second = try RawSocket(socket.path)
            for client in [first, second] {
                client?.send(#"{"method":"test.it.Echo","parameters":{"text":"x"}}"# + "\0")
                #expect(try client?.receive() != nil)
            }
            #expect(try RawSocket(socket.path).receive() == nil)
            #expect(socket.events().contains { $0.contains("refused") })
            first = nil
            eventually("there is room again") {
                guard let client = try? VarlinkClient(path: socket.path) else { return false }
                return (try? client.call("org.varlink.service.GetInfo", returning: ServiceInterface.Info.self)) != nil
            }
        }
    }

    @Test("answers the call that ends it")
    func lastReply() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let (order, stop) = AsyncStream.makeStream(of: Void.self)
        let interface = VarlinkInterface(name: "test.it", description: "") { request in
            stop.finish()
            // Until the server is stopping; its reply must be sent all the same.
            while !Task.isCancelled { await Task.yield() }
            return try request.parameters(as: TestInterface.Text.self)
        }
        let service = VarlinkService(vendor: "v", product: "p", version: "1", url: "u", interfaces: [interface])
        let listener = try VarlinkListener(path: path, mode: 0o600)
        let server = VarlinkServer(service: service, group: MultiThreadedEventLoopGroup.singleton)
        let running = Task { try await server.run(on: listener) }
        let stopping = Task {
            for await _ in order {}
            running.cancel()
        }
        try await blocking {
            let reply: TestInterface.Text = try VarlinkClient(path: path)
                .call("test.it.Stop", TestInterface.Text(text: "last words"))
            #expect(reply.text == "last words")
        }
        await stopping.value
        _ = await running.result
    }

    @Test("ends with its task, though a client neither reads nor leaves")
    func ends() async throws {
        let stuck = Mutex<RawSocket?>(nil)
        try await withServer { socket in
            let raw = try RawSocket(socket.path)
            raw.send(#"{"method":"test.it.Flood","more":true}"# + "\0")
            #expect(try raw.receive() != nil)
            stuck.withLock { $0 = raw }
        }
        // It got what the socket held, and then the end.
        try await blocking {
            let raw = try #require(stuck.withLock { $0 })
            while try raw.receive() != nil {}
        }
    }
}
