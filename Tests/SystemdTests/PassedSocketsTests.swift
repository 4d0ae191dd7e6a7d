import Glibc
import Testing

@testable import Systemd

@Suite struct PassedSocketsTests {
    @Test func listenersAreGroupedByNameInOrder() throws {
        let (first, second, control) = (try listener(AF_INET), try listener(AF_INET6), try unixListener())
        let sockets = try PassedSockets.sort(
            [("wsd", first), ("control", control), ("wsd", second)],
            expecting: ["wsd": .any, "control": .unix]
        )
        defer { for descriptor in [first, second, control] { close(descriptor) } }
        #expect(sockets["wsd"].map(\.descriptor) == [first, second])
        #expect(sockets["control"].map(\.descriptor) == [control])
        #expect(sockets["status"].isEmpty)
        #expect(sockets.names == ["control", "wsd"])
        #expect(sockets.warnings.isEmpty)
    }

    @Test func aListenerIsMadeNonBlockingAndCloseOnExec() throws {
        let descriptor = try listener(AF_INET)
        defer { close(descriptor) }
        #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK == 0)
        _ = try PassedSocket(name: "wsd", descriptor: descriptor, family: .any)
        #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
    }

    @Test func theAddressReadsAsAPersonWritesIt() throws {
        let (four, six, unix) = (try listener(AF_INET), try listener(AF_INET6), try unixListener())
        defer { for descriptor in [four, six, unix] { close(descriptor) } }
        let ipv4 = try PassedSocket(name: "wsd", descriptor: four, family: .any)
        #expect(ipv4.address == "0.0.0.0:\(try #require(ipv4.port))")
        let ipv6 = try PassedSocket(name: "wsd", descriptor: six, family: .any)
        #expect(ipv6.address == "[::]:\(try #require(ipv6.port))")
        let local = try PassedSocket(name: "control", descriptor: unix, family: .unix)
        #expect(local.address.hasPrefix("@"))
        #expect(local.port == nil)
    }

    @Test func anUnknownNameIsClosedWithAWarningThatNamesIt() throws {
        let descriptor = try listener(AF_INET)
        let sockets = try PassedSockets.sort([("metrics\n", descriptor)], expecting: ["wsd": .any, "control": .unix])
        #expect(sockets.names.isEmpty)
        let warning = try #require(sockets.warnings.first)
        #expect(warning.contains("\"metrics\\n\""))
        #expect(warning.contains("control, wsd"))
    }

    @Test func aDatagramSocketIsAnError() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        let expected = PassedSocketError(name: "wsd", descriptor: descriptor, problem: .notListening)
        #expect(throws: expected) {
            try PassedSockets.sort([("wsd", descriptor)], expecting: ["wsd": .any])
        }
        #expect(expected.description.contains("ListenStream="))
    }

    @Test func aSocketThatDoesNotListenIsAnError() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        #expect(throws: PassedSocketError(name: "wsd", descriptor: descriptor, problem: .notListening)) {
            try PassedSockets.sort([("wsd", descriptor)], expecting: ["wsd": .any])
        }
    }

    @Test func controlOverTCPIsRefused() throws {
        let descriptor = try listener(AF_INET)
        defer { close(descriptor) }
        let error = #expect(throws: PassedSocketError.self) {
            try PassedSockets.sort([("control", descriptor)], expecting: ["control": .unix])
        }
        #expect(try #require(error).description.contains("must be a Unix socket"))
    }

    @Test func aDescriptorThatIsNotOpenIsAnError() {
        #expect(throws: PassedSocketError(name: "wsd", descriptor: 1 << 20, problem: .notOpen)) {
            try PassedSockets.sort([("wsd", 1 << 20)], expecting: ["wsd": .any])
        }
    }

    /// A TCP socket that listens on a port of the kernel's choice.
    private func listener(_ family: Int32) throws -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        try #require(listen(descriptor, 1) == 0)
        return descriptor
    }

    /// A Unix socket that listens on an abstract name of the kernel's choice.
    private func unixListener() throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr(sa_family: sa_family_t(AF_UNIX), sa_data: sockaddr().sa_data)
        try #require(bind(descriptor, &address, socklen_t(MemoryLayout<sa_family_t>.size)) == 0)
        try #require(listen(descriptor, 1) == 0)
        return descriptor
    }
}
