import Glibc
import Synchronization
import Testing
import Varlink
import VarlinkServer

@Suite("A server", .blocking)
struct VarlinkServerTests {
    @Test("answers a client's calls, one after the other")
    func calls() async throws {
        try await withServer { socket in
            let client = try VarlinkClient(path: socket.path)
            for text in ["one", "two", "drei\u{0}\u{1b}€"] {
                let reply: TestInterface.Text = try client.call("test.it.Echo", TestInterface.Text(text: text))
                #expect(reply.text == text)
            }
        }
    }

    @Test("describes itself and its interfaces")
    func describes() async throws {
        try await withServer { socket in
            let client = try VarlinkClient(path: socket.path)
            let info: ServiceInterface.Info = try client.call("org.varlink.service.GetInfo")
            #expect(info.interfaces == ["org.varlink.service", "test.it"])
            #expect(info.vendor == "v" && info.product == "p" && info.version == "1" && info.url == "u")
            for (name, description) in [
                ("test.it", TestInterface.description), (ServiceInterface.name, ServiceInterface.description),
            ] {
                let reply: ServiceInterface.DescriptionReply = try client.call(
                    "org.varlink.service.GetInterfaceDescription",
                    ServiceInterface.DescriptionParameters(interface: name))
                #expect(reply.description == description)
            }
        }
    }

    @Test(
        "says what is wrong with a call, and goes on",
        arguments: [
            ("a.b.C", VarlinkError.interfaceNotFound("a.b")),
            ("NoDot", .methodNotFound("NoDot")),
            ("test.it.Nope", .methodNotFound("test.it.Nope")),
            ("org.varlink.service.Nope", .methodNotFound("org.varlink.service.Nope")),
            ("org.varlink.service.GetInterfaceDescription", .invalidParameter("interface")),
            ("test.it.Echo", .invalidParameter("text")),
            ("test.it.CountTo", .invalidParameter("count")),
            ("test.it.Fail", VarlinkError(name: "test.it.Failed", parameters: ["why": "because"])),
            ("secret.it.Anything", .permissionDenied),
        ])
    func errors(_ method: String, _ error: VarlinkError) async throws {
        let refused = VarlinkInterface(refusing: "secret.it", description: "interface secret.it\n")
        try await withServer([TestInterface.interface, refused]) { socket in
            let client = try VarlinkClient(path: socket.path)
            #expect(throws: VarlinkClientError.failed(error)) {
                try client.call(method, returning: NoParameters.self)
            }
            let info: ServiceInterface.Info = try client.call("org.varlink.service.GetInfo")
            #expect(!info.interfaces.contains("secret.it"))
        }
    }

    @Test("knows who calls")
    func credentials() async throws {
        try await withServer { socket in
            let peer: TestInterface.Peer = try VarlinkClient(path: socket.path).call("test.it.WhoAmI")
            #expect(peer.pid == getpid())
            #expect(peer.uid == getuid())
        }
    }

    @Test("answers more than once where that is asked for, and only there")
    func more() async throws {
        try await withServer { socket in
            let client = try VarlinkClient(path: socket.path)
            var counts: [Int] = []
            let parameters = TestInterface.Count(count: 1000)
            try client.callMore("test.it.CountTo", parameters, returning: TestInterface.Count.self) {
                counts.append($0.count)
            }
            #expect(counts == Array(1...1000))
            #expect(throws: VarlinkClientError.failed(.expectedMore)) {
                try client.call("test.it.CountTo", parameters, returning: TestInterface.Count.self)
            }
        }
    }

    @Test("carries out pipelined calls in order, also when the client has finished sending")
    func pipelining() async throws {
        try await withServer { socket in
            let raw = try RawSocket(socket.path)
            let calls = (0..<100).map { #"{"method":"test.it.Echo","parameters":{"text":"\#($0)"}}"# + "\0" }
            raw.send(calls.joined() + "{\"half\":")
            raw.finishSending()
            #expect(try raw.receiveAll() == (0..<100).map { #"{"parameters":{"text":"\#($0)"}}"# })
        }
    }

    @Test("takes a call byte by byte")
    func bytewise() async throws {
        try await withServer { socket in
            let raw = try RawSocket(socket.path)
            let call = #"{"method":"test.it.Echo","parameters":{"text":"x"}}"# + "\0"
            for character in call { raw.send(String(character)) }
            #expect(try raw.receive() == #"{"parameters":{"text":"x"}}"#)
        }
    }

    @Test("gives no reply to a one-way call, not even an error, and carries it out though the client is gone")
    func oneway() async throws {
        try await withServer { socket in
            do {
                let client = try VarlinkClient(path: socket.path)
                try client.callOneway("test.it.Fail")
                try client.callOneway("test.it.Nope")
                try client.callOneway("test.it.Note", TestInterface.Text(text: "first \(socket.path)"))
                let reply: TestInterface.Text = try client.call("test.it.Echo", TestInterface.Text(text: "still here"))
                #expect(reply.text == "still here")
            }
            for number in 0..<20 {
                // Connects, calls, and is gone before the server looks.
                try VarlinkClient(path: socket.path)
                    .callOneway("test.it.Note", TestInterface.Text(text: "\(number) \(socket.path)"))
            }
            eventually("all are carried out") {
                TestInterface.noted.withLock { $0.filter { $0.hasSuffix(socket.path) }.count } == 21
            }
        }
    }

    @Test("refuses to hand over the connection to another protocol")
    func upgrade() async throws {
        try await withServer { socket in
            let raw = try RawSocket(socket.path)
            raw.send(#"{"method":"test.it.Echo","upgrade":true,"parameters":{"text":"x"}}"# + "\0")
            #expect(try raw.receive()?.contains("org.varlink.service.MethodNotImplemented") == true)
        }
    }
}
