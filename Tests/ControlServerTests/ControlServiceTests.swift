import Base
import Control
import ControlServer
import Glibc
import Operations
import Synchronization
import Testing
import Varlink
import VarlinkServer

@Suite("The control service", .blocking)
struct ControlServiceTests {
    private let backend = MemoryBackend(count: 1500)

    private func withClients(
        _ body: @escaping @Sendable (_ control: VarlinkClient, _ status: VarlinkClient) throws -> Void
    ) async throws {
        try await ControlServerTests.withClients(of: ControlService(backend: backend), body)
    }

    @Test("gives figures on both interfaces and both sockets, and names clients on the control socket only")
    func looking() async throws {
        try await withClients { control, status in
            for (client, interface) in [
                (control, ControlInterface.control), (control, ControlInterface.status),
                (status, ControlInterface.status),
            ] {
                let hub: GetStatus.Reply = try client.call("\(interface).GetStatus")
                #expect(hub.status.connections == 1500)
            }
            let shown: Show.Reply = try control.call(
                "io.wsd.Control.Show", Show.Parameters(id: "\(MemoryBackend.id(7))"))
            #expect(shown.connection.userAgent == "test/7")
            let gone = VarlinkError(name: "io.wsd.Control.NoSuchConnection", parameters: ["id": "x"])
            #expect(throws: VarlinkClientError.failed(gone)) {
                try control.call("io.wsd.Control.Show", Show.Parameters(id: "x"), returning: Show.Reply.self)
            }
            let parameters = ListChannels.Parameters(pattern: "a*", after: "b", limit: 3)
            let channels: ListChannels.Reply = try control.call("io.wsd.Control.ListChannels", parameters)
            #expect(channels.channels == [ChannelRow(name: "a* b", connections: 3)])
        }
    }

    @Test("does not pass off as nothing what the broker alone knows")
    func unavailable() async throws {
        try await withClients { control, _ in
            let reason = ["reason": VarlinkValue.string("the broker sleeps")]
            #expect(
                throws: VarlinkClientError.failed(
                    VarlinkError(name: "io.wsd.Control.Unavailable", parameters: reason))
            ) {
                try control.call(
                    "io.wsd.Control.ShowChannel", ShowChannel.Parameters(channel: "far"),
                    returning: ShowChannel.Reply.self)
            }
        }
    }

    @Test(
        "names nobody on the status socket, whatever is asked",
        arguments: ["List", "Show", "Top", "Why", "Monitor", "ListChannels", "ShowChannel"])
    func privacy(_ member: String) async throws {
        try await withClients { control, status in
            for interface in [ControlInterface.control, ControlInterface.status] {
                #expect(throws: VarlinkClientError.failed(.permissionDenied)) {
                    try status.call("\(interface).\(member)", returning: NoParameters.self)
                }
            }
            #expect(throws: VarlinkClientError.failed(.methodNotFound("io.wsd.Status.\(member)"))) {
                try control.call("io.wsd.Status.\(member)", returning: NoParameters.self)
            }
        }
    }

    @Test("lists everything in pages of at most 256, each connection once")
    func listing() async throws {
        try await withClients { control, _ in
            var ids: [ConnectionID] = []
            try control.callMore("io.wsd.Control.List", returning: ConnectionPage.self) { page in
                #expect((1...256).contains(page.connections.count))
                ids += page.connections.map(\.id)
            }
            #expect(ids == (0..<1500).map { MemoryBackend.id($0) })
        }
    }

    @Test("lists a part of it, and goes on where it ended")
    func paging() async throws {
        try await withClients { control, _ in
            var ids: [ConnectionID] = []
            var after: String?
            repeat {
                let page: ConnectionPage = try control.call(
                    "io.wsd.Control.List",
                    List.Parameters(filter: ConnectionFilter(channel: "odd"), after: after, limit: 100))
                #expect(page.connections.count <= 100)
                ids += page.connections.map(\.id)
                after = page.next
            } while after != nil
            #expect(ids == stride(from: 1, to: 1500, by: 2).map { MemoryBackend.id($0) })
        }
    }

    @Test("lists no more than the limit, with and without more", arguments: [1, 255, 256, 257, 600])
    func limit(_ limit: Int) async throws {
        try await withClients { control, _ in
            var count = 0
            var last: String?
            try control.callMore("io.wsd.Control.List", List.Parameters(limit: limit), returning: ConnectionPage.self) {
                count += $0.connections.count
                last = $0.next
            }
            #expect(count == limit)
            #expect(last != nil)
            let page: ConnectionPage = try control.call("io.wsd.Control.List", List.Parameters(limit: min(limit, 200)))
            #expect(page.connections.count == min(limit, 200))
        }
    }

    @Test(
        "names what is wrong with a question",
        arguments: [
            (List.Parameters(limit: 0), VarlinkError.invalidParameter("limit")),
            (List.Parameters(limit: 1001), .invalidParameter("limit")),
            (List.Parameters(after: "nonsense"), .invalidParameter("after")),
            (
                List.Parameters(filter: ConnectionFilter(ip: "here")),
                VarlinkError(
                    name: "io.wsd.Control.InvalidFilter",
                    parameters: [
                        "field": "ip", "value": "here",
                        "reason": "neither an IP address nor a network such as 10.0.0.0/8",
                    ])
            ),
        ])
    func invalidList(_ parameters: List.Parameters, _ error: VarlinkError) async throws {
        try await withClients { control, _ in
            #expect(throws: VarlinkClientError.failed(error)) {
                try control.call("io.wsd.Control.List", parameters, returning: ConnectionPage.self)
            }
        }
    }

    @Test("closes what is selected, and hands over the code, the reason and the caller")
    func kick() async throws {
        let backend = backend
        try await withClients { control, _ in
            let counts = try [
                Kick.Parameters(
                    filter: ConnectionFilter(ids: ["\(MemoryBackend.id(1))", "x"]), code: 4000, reason: "so"),
                Kick.Parameters(filter: ConnectionFilter(channel: "even")),
                Kick.Parameters(filter: ConnectionFilter(all: true), code: 1012),
                Kick.Parameters(filter: ConnectionFilter(all: true)),
            ].map { try control.call("io.wsd.Control.Kick", $0, returning: Kick.Reply.self).connections }
            #expect(counts == [1, 750, 749, 0])
            let caller = "by \(getpid())"
            let said = "closed by an administrator"
            #expect(
                backend.deeds.withLock { $0 } == [
                    "kick 1 4000 so \(caller)", "kick 750 1008 \(said) \(caller)", "kick 749 1012 \(said) \(caller)",
                    "kick 0 1008 \(said) \(caller)",
                ])
        }
    }

    @Test("closes nothing when it isn't clear what, or when the client couldn't be told")
    func invalidKick() async throws {
        let backend = backend
        try await withClients { control, _ in
            func expect(_ parameters: String, _ error: VarlinkError) throws {
                let value = try VarlinkJSON.decode(VarlinkValue.self, from: Array(parameters.utf8))
                #expect(throws: VarlinkClientError.failed(error)) {
                    try control.call("io.wsd.Control.Kick", value, returning: Kick.Reply.self)
                }
            }
            func own(_ name: String, _ parameters: [String: VarlinkValue] = [:]) -> VarlinkError {
                VarlinkError(name: "io.wsd.Control.\(name)", parameters: parameters)
            }
            try expect("{}", .invalidParameter("filter"))
            try expect(#"{"filter":{}}"#, own("NothingSelected"))
            try expect(#"{"filter":{"all":false,"ids":[]}}"#, own("NothingSelected"))
            try expect(#"{"filter":{"chanel":"even"}}"#, .invalidParameter("filter.chanel"))
            try expect(#"{"filter":{"all":1}}"#, .invalidParameter("filter.all"))
            try expect(#"{"filter":{"all":true},"code":1006}"#, own("InvalidCloseCode", ["code": 1006]))
            try expect(#"{"filter":{"all":true},"code":65536000}"#, own("InvalidCloseCode", ["code": 65_536_000]))
            let long = String(repeating: "x", count: 124)
            try expect(
                #"{"filter":{"all":true},"reason":"\#(long)"}"#, own("ReasonTooLong", ["bytes": 124, "limit": 123]))
            #expect(backend.deeds.withLock { $0 }.isEmpty)
        }
    }

    @Test("publishes text or bytes in a channel, and says where the message is")
    func publish() async throws {
        let backend = backend
        try await withClients { control, _ in
            func publish(_ parameters: Publish.Parameters) throws -> PublishResult {
                try control.call("io.wsd.Control.Publish", parameters, returning: Publish.Reply.self)
            }
            let result = try publish(Publish.Parameters(channel: "odd", data: "AP8="))
            #expect(result == PublishResult(recipients: 0, epoch: "epoch", seq: 7))
            #expect(backend.deeds.withLock { $0 } == ["publish [0, 255] odd by \(getpid())"])
            for (parameters, error) in [
                (Publish.Parameters(channel: "odd"), VarlinkError.invalidParameter("message")),
                (Publish.Parameters(channel: "odd", message: "a", data: "AA=="), .invalidParameter("data")),
                (
                    Publish.Parameters(channel: "odd", message: String(repeating: "x", count: 101)),
                    VarlinkError(name: "io.wsd.Control.MessageTooLarge", parameters: ["bytes": 101, "limit": 100])
                ),
            ] {
                #expect(throws: VarlinkClientError.failed(error)) { try publish(parameters) }
            }
            #expect(throws: VarlinkClientError.self) { try publish(Publish.Parameters(channel: "", message: "a")) }
        }
    }

    @Test("sends text or bytes to everyone or to a channel")
    func broadcast() async throws {
        let backend = backend
        try await withClients { control, _ in
            func broadcast(_ parameters: Broadcast.Parameters) throws -> Int {
                try control.call("io.wsd.Control.Broadcast", parameters, returning: Broadcast.Reply.self).recipients
            }
            let counts = try [
                Broadcast.Parameters(message: "hü"), Broadcast.Parameters(data: "AP8=", channel: "odd"),
                Broadcast.Parameters(message: "", channel: "none", user: "alice"),
            ].map(broadcast)
            #expect(counts == [1500, 750, 0])
            #expect(
                backend.deeds.withLock { $0 } == [
                    "broadcast [104, 195, 188] false - - by \(getpid())",
                    "broadcast [0, 255] true odd - by \(getpid())",
                    "broadcast [] false none alice by \(getpid())",
                ])
            for (parameters, error) in [
                (Broadcast.Parameters(), VarlinkError.invalidParameter("message")),
                (Broadcast.Parameters(message: "a", data: "AA=="), .invalidParameter("data")),
                (Broadcast.Parameters(data: "not base64!"), .invalidParameter("data")),
                (
                    Broadcast.Parameters(message: String(repeating: "x", count: 101)),
                    VarlinkError(name: "io.wsd.Control.MessageTooLarge", parameters: ["bytes": 101, "limit": 100])
                ),
            ] {
                #expect(throws: VarlinkClientError.failed(error)) { try broadcast(parameters) }
            }
        }
    }

    @Test("begins to drain")
    func drain() async throws {
        let backend = backend
        try await withClients { control, _ in
            let reply: Drain.Reply = try control.call("io.wsd.Control.Drain")
            #expect(reply.drain.connectionsLeft == 2)
            #expect(backend.deeds.withLock { $0 } == ["drain by \(getpid())"])
        }
    }

    @Test("reloads and makes tokens")
    func reloadAndToken() async throws {
        let backend = backend
        try await withClients { control, _ in
            let errors = VarlinkValue.array([.string("one"), .string("two")])
            #expect(
                throws: VarlinkClientError.failed(
                    VarlinkError(name: "io.wsd.Control.ReloadFailed", parameters: ["errors": errors]))
            ) {
                try control.call("io.wsd.Control.Reload", returning: ReloadOutcome.self)
            }
            let grant = MakeToken.Grant(pattern: "a=b*", subscribe: true, publish: false)
            #expect(MakeToken.Grant(parsing: "a=b*=subscribe") == grant)
            let parameters = MakeToken.Parameters(user: "alice", grants: [grant])
            let reply = try control.call("io.wsd.Control.MakeToken", parameters, returning: MakeToken.Reply.self)
            #expect(reply.token == "a.b.c")
            for wrong in [
                MakeToken.Parameters(user: ""), MakeToken.Parameters(user: "a", lifetime: 0),
                MakeToken.Parameters(user: "a", lifetime: .max),
            ] {
                #expect(throws: VarlinkClientError.self) {
                    try control.call("io.wsd.Control.MakeToken", wrong, returning: MakeToken.Reply.self)
                }
            }
            #expect(
                backend.deeds.withLock { $0 } == [
                    "reload by \(getpid())", "token for alice, 3600 s, [\"a=b* true false\"]",
                ])
        }
    }

    @Test(
        "lets nobody act on the status socket, and no interface act that only looks",
        arguments: ["Kick", "Broadcast", "Publish", "Drain", "Reload", "MakeToken", "GetStatus", "Nope"])
    func permissions(_ member: String) async throws {
        let backend = backend
        try await withClients { control, status in
            #expect(throws: VarlinkClientError.failed(.permissionDenied)) {
                try status.call("io.wsd.Control.\(member)", returning: NoParameters.self)
            }
            if member != "GetStatus" {
                for client in [control, status] {
                    #expect(throws: VarlinkClientError.failed(.methodNotFound("io.wsd.Status.\(member)"))) {
                        try client.call("io.wsd.Status.\(member)", returning: NoParameters.self)
                    }
                }
            }
            #expect(backend.deeds.withLock { $0 }.isEmpty)
        }
    }
}
