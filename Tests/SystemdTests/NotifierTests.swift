import Glibc
import Testing

@testable import Systemd

/// Serialised, because libsystemd reads the process's environment.
@Suite(.serialized) struct NotifierTests {
    @Test func everyStateIsOneDatagram() async throws {
        let manager = try FakeServiceManager()
        let notifier = Notifier()
        #expect(notifier.isPresent)
        #expect(await notifier.ready(status: "3 connections"))
        #expect(notifier.status("draining"))
        #expect(notifier.stopping())
        #expect(notifier.watchdog())
        #expect(notifier.extendTimeout(.milliseconds(1500)))
        #expect(
            manager.received(5) == [
                "READY=1\nSTATUS=3 connections",
                "STATUS=draining",
                "STOPPING=1",
                "WATCHDOG=1",
                "EXTEND_TIMEOUT_USEC=1500000",
            ])
    }

    @Test func aFullQueueHoldsNobodyUp() async throws {
        let manager = try FakeServiceManager()
        let notifier = Notifier()
        // More than a queue of datagrams takes (net.unix.max_dgram_qlen), with nobody who reads.
        var taken = 0
        while notifier.status("\(taken)") { taken += 1 }
        #expect(taken > 0)
        #expect(!notifier.extendTimeout(.seconds(1)))
        #expect(!notifier.stopping(status: "draining"))
        #expect(!notifier.watchdog())
        // These are tried for a while, and given up.
        #expect(await !notifier.reloading())
        #expect(await !notifier.ready(status: "draining"))
        #expect(manager.received(1) == ["STATUS=0"])
        #expect(notifier.status("there is room again"))
    }

    @Test func whatMustArriveWaitsForRoom() async throws {
        let manager = try FakeServiceManager()
        let notifier = Notifier()
        while notifier.status("fills the queue") {}
        async let isTold = notifier.ready()
        #expect(manager.received(3).allSatisfy { $0.hasPrefix("STATUS=") })
        #expect(await isTold)
    }

    @Test func whatIsNotRemovedAtOnceIsRemovedLater() async throws {
        let manager = try FakeServiceManager()
        let notifier = Notifier()
        while notifier.status("fills the queue") {}
        let left = await notifier.removeStored(names: ["one", "two"])
        #expect(left == ["one", "two"])
        async let isOver: Void = notifier.removeStored(names: left, every: .milliseconds(10))
        var told: [String] = []
        while told.count < 2 {
            told += manager.received(1).filter { $0.hasPrefix("FDSTOREREMOVE=1") }
            await Task.yield()
        }
        await isOver
        #expect(told == ["one", "two"].map { "FDSTOREREMOVE=1\nFDNAME=\($0)" })
    }

    @Test func aStoreHasRoomForAsManyAsItSays() throws {
        let manager = try FakeServiceManager()
        unsetenv("MEMORY_PRESSURE_WATCH")
        defer {
            unsetenv("FDSTORE")
            unsetenv("MEMORY_PRESSURE_WATCH")
        }
        let notifier = Notifier()
        for (limit, most) in [(nil, 9), ("0", 0), ("1", 1), ("2", 2)] as [(String?, Int)] {
            if let limit { setenv("FDSTORE", limit, 1) } else { unsetenv("FDSTORE") }
            #expect((1...9).filter(notifier.mayStore).count == most)
        }
        // A version of systemd that would tell a limit, if there were one.
        setenv("MEMORY_PRESSURE_WATCH", "/sys/fs/cgroup/memory.pressure", 1)
        #expect((1...9).filter(notifier.mayStore).count == 2)
        unsetenv("FDSTORE")
        #expect((1...9).filter(notifier.mayStore).isEmpty)
        withExtendedLifetime(manager) {}
    }

    @Test func reloadingCarriesTheMonotonicClock() async throws {
        let manager = try FakeServiceManager()
        #expect(await Notifier().reloading())
        let lines = manager.received(1)[0].split(separator: "\n")
        #expect(lines.first == "RELOADING=1")
        let clock = try #require(lines.last?.split(separator: "=").last)
        #expect(try #require(UInt64(clock)) > 0)
    }

    @Test func statusTextCannotSmuggleAnotherAssignment() throws {
        let manager = try FakeServiceManager()
        #expect(Notifier().status("evil\nREADY=1\r\u{1B}[31m"))
        #expect(manager.received(1) == ["STATUS=evil READY=1  [31m"])
    }

    @Test func longStatusTextIsCutBetweenCharacters() {
        let cut = Notifier.oneLine(String(repeating: "é", count: 5000))
        #expect(cut == String(repeating: "é", count: 512))
    }

    @Test func withoutAServiceManagerNothingHappens() async {
        unsetenv("NOTIFY_SOCKET")
        let notifier = Notifier()
        #expect(!notifier.isPresent)
        #expect(await !notifier.ready())
        #expect(!notifier.barrier())
    }

    @Test func theWatchdogIsOffUnlessAskedFor() {
        unsetenv("WATCHDOG_USEC")
        #expect(Watchdog(notifier: Notifier()) == nil)
        setenv("WATCHDOG_USEC", "3000000", 1)
        setenv("WATCHDOG_PID", String(getpid()), 1)
        #expect(Watchdog(notifier: Notifier())?.interval == .milliseconds(1500))
        setenv("WATCHDOG_PID", "1", 1)
        #expect(Watchdog(notifier: Notifier()) == nil)
        unsetenv("WATCHDOG_USEC")
        unsetenv("WATCHDOG_PID")
    }

    @Test func withoutSocketsPassedThereAreNone() throws {
        unsetenv("LISTEN_FDS")
        let sockets = try PassedSockets.take(expecting: ["wsd": .any])
        #expect(sockets["wsd"].isEmpty)
        #expect(sockets.warnings.isEmpty)
    }

    @Test func aBrokenListenFDSIsAWarning() throws {
        setenv("LISTEN_PID", String(getpid()), 1)
        setenv("LISTEN_FDS", "many", 1)
        let sockets = try PassedSockets.take(expecting: ["wsd": .any])
        #expect(sockets.names.isEmpty)
        #expect(sockets.warnings.count == 1)
    }
}

/// The service manager's end of `$NOTIFY_SOCKET`, for as long as it lives.
private final class FakeServiceManager {
    private let descriptor: Int32

    init() throws {
        descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        // An abstract name, chosen by the kernel: nothing to delete, no two tests share it.
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var length = socklen_t(MemoryLayout<sa_family_t>.size)
        let (descriptor, size) = (descriptor, socklen_t(MemoryLayout<sockaddr_un>.size))
        let name: String? = withUnsafeMutablePointer(to: &address) { pointer in
            let named = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                guard bind(descriptor, generic, length) == 0 else { return false }
                length = size
                return getsockname(descriptor, generic, &length) == 0
            }
            guard named else { return nil }
            let path = UnsafeRawBufferPointer(start: pointer, count: Int(length)).dropFirst(3)
            return "@" + String(decoding: path, as: UTF8.self)
        }
        setenv("NOTIFY_SOCKET", try #require(name), 1)
    }

    /// The next datagrams; each of them was sent already, because sd_notify(3) returned.
    func received(_ count: Int) -> [String] {
        (0..<count).map { _ in
            var buffer = [UInt8](repeating: 0, count: 4096)
            let received = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            return String(decoding: buffer.prefix(max(0, received)), as: UTF8.self)
        }
    }

    deinit {
        unsetenv("NOTIFY_SOCKET")
        close(descriptor)
    }
}
