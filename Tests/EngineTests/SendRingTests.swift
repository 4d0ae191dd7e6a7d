import Glibc
import Testing

@testable import Engine

/// Two connected stream sockets, closed with it.
final class SocketPair {
    let near: Int32
    private(set) var far: Int32

    init() throws {
        var descriptors: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &descriptors) == 0)
        (near, far) = (descriptors[0], descriptors[1])
    }

    deinit {
        close(near)
        closeFar()
    }

    func closeFar() {
        if far >= 0 { close(far) }
        far = -1
    }

    /// What has arrived at the far end, up to `limit` bytes.
    func arrived(limit: Int = 1 << 20) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < limit {
            let count = recv(far, &buffer, min(buffer.count, limit - bytes.count), Int32(MSG_DONTWAIT))
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return bytes
    }
}

/// Runs `body` on a thread of its own, whose end it waits for.
private func onAnotherThread(_ body: () -> Void) {
    withoutActuallyEscaping(body) { body in
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Box(body)).toOpaque()
        let result = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, argument)
        precondition(result == 0, "pthread_create: \(result)")
        pthread_join(thread, nil)
    }
}

private final class Box {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
}

/// The first line of a file in /proc that begins so, without it.
private func line(of path: String, after prefix: String = "") -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 512)
    while fgets(&buffer, Int32(buffer.count), file) != nil {
        let text = String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        if text.hasPrefix(prefix) { return String(text.dropFirst(prefix.count).drop { $0 == "\t" }) }
    }
    return nil
}

/// Has the calling thread refused io_uring_setup(2) with EPERM, as systemd's `@system-service` does (seccomp(2)).
private func refuseRings() -> Bool {
    typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
    guard let symbol = dlsym(nil, "prctl") else { return false }
    let control = unsafeBitCast(symbol, to: Control.self)
    /// One instruction of classic BPF: sock_filter of <linux/filter.h>.
    struct Instruction { var code: UInt16, whereTrue: UInt8, whereFalse: UInt8, value: UInt32 }
    struct Program { var count: UInt16, instructions: UnsafePointer<Instruction> }
    let setup: UInt32 = 425
    let instructions = [
        Instruction(code: 0x20, whereTrue: 0, whereFalse: 0, value: 0),  // load the system call's number
        Instruction(code: 0x15, whereTrue: 0, whereFalse: 1, value: setup),
        Instruction(code: 0x06, whereTrue: 0, whereFalse: 0, value: 0x0005_0000 | UInt32(EPERM)),
        Instruction(code: 0x06, whereTrue: 0, whereFalse: 0, value: 0x7FFF_0000),  // allow
    ]
    return instructions.withUnsafeBufferPointer { instructions in
        let program = Program(count: UInt16(instructions.count), instructions: instructions.baseAddress!)
        return withUnsafePointer(to: program) {
            // PR_SET_NO_NEW_PRIVS, then PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
            control(38, 1, 0, 0, 0) == 0 && control(22, 2, UInt(bitPattern: $0), 0, 0) == 0
        }
    }
}

@Suite struct SendRingAvailabilityTests {
    /// Said by the system and not by the ring: 6.6 or later, not forbidden, no seccomp filter.
    private static var nothingForbidsRings: Bool {
        line(of: "/proc/sys/kernel/io_uring_disabled") == "0" && line(of: "/proc/self/status", after: "Seccomp:") == "0"
    }

    @Test(.enabled(if: nothingForbidsRings, "io_uring is missing or forbidden here"))
    func aRingOpensWhereNothingForbidsIt() {
        #expect(SendRing() != nil)
    }

    @Test func aRingThatSeccompForbidsIsNil() {
        var isFiltered = false
        var isNil = false
        onAnotherThread {
            isFiltered = refuseRings()
            isNil = SendRing() == nil
        }
        #expect(isFiltered)
        #expect(isNil)
    }
}

@Suite(.enabled(if: SendRing() != nil, "io_uring is missing or forbidden here"))
struct SendRingTests {
    private let ring: SendRing

    init() throws { ring = try #require(SendRing()) }

    private func result(_ descriptor: Int32, _ bytes: [UInt8]) -> Int32? {
        var results: [Int32] = []
        bytes.withUnsafeBytes {
            ring.queue(descriptor: descriptor, bytes: $0.baseAddress!, count: $0.count, userData: 7)
            ring.submit { userData, result in
                #expect(userData == 7)
                results.append(result)
            }
        }
        return results.count == 1 ? results[0] : nil
    }

    @Test func moreSendsThanTheRingHoldsArriveInOrder() throws {
        let pairs = try (0..<10).map { _ in try SocketPair() }
        let count = SendRing.capacity * 5 + 3
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        var results: [UInt64: Int32] = [:]
        bytes.withUnsafeBytes { bytes in
            for index in 0..<count {
                if ring.isFull { ring.submit { results[$0] = $1 } }
                let descriptor = pairs[index % pairs.count].near
                ring.queue(descriptor: descriptor, bytes: bytes.baseAddress! + index, count: 1, userData: UInt64(index))
            }
            #expect(!ring.isEmpty)
            ring.submit { results[$0] = $1 }
        }
        #expect(ring.isEmpty)
        #expect(results == Dictionary(uniqueKeysWithValues: (0..<count).map { (UInt64($0), 1) }))
        for (number, pair) in pairs.enumerated() {
            #expect(pair.arrived() == stride(from: number, to: count, by: pairs.count).map { bytes[$0] })
        }
    }

    @Test func theBytesAreTheCallersAgainAfterSubmit() throws {
        let pair = try SocketPair()
        var bytes = [UInt8](repeating: 1, count: 4_096)
        #expect(result(pair.near, bytes) == 4_096)
        for index in bytes.indices { bytes[index] = 2 }
        #expect(pair.arrived() == [UInt8](repeating: 1, count: 4_096))
    }

    @Test func aFullSocketTakesAPartAndThenNothing() throws {
        let pair = try SocketPair()
        let bytes = [UInt8](repeating: 9, count: 8 << 20)
        let taken = try #require(result(pair.near, bytes))
        #expect(taken > 0 && taken < bytes.count)
        #expect(result(pair.near, bytes) == -EAGAIN)
        #expect(pair.arrived(limit: bytes.count).count == taken)
        // And it is not stuck: what was refused then is taken now.
        #expect(result(pair.near, [1, 2, 3]) == 3)
    }

    @Test func aClosedPeerIsAnErrorAndNoSignal() throws {
        let pair = try SocketPair()
        pair.closeFar()
        #expect(result(pair.near, [1]) == -EPIPE)
    }

    @Test func aFailedSendStopsNoOther() throws {
        let good = try SocketPair()
        let closed = try SocketPair()
        closed.closeFar()
        var results: [Int32] = []
        let bytes: [UInt8] = [5]
        bytes.withUnsafeBytes {
            for descriptor in [good.near, -1, closed.near, good.near] {
                ring.queue(descriptor: descriptor, bytes: $0.baseAddress!, count: 1, userData: 0)
            }
            ring.submit { results.append($1) }
        }
        #expect(results == [1, -EBADF, -EPIPE, 1])
        #expect(good.arrived() == [5, 5])
    }

    /// The kernel takes a ring's sends from the thread that opened it alone (EEXIST).
    @Test func whatTheKernelDoesNotTakeGoesWithoutTheRing() throws {
        let good = try SocketPair()
        let closed = try SocketPair()
        closed.closeFar()
        var results: [UInt64: Int32] = [:]
        let bytes: [UInt8] = [6, 7, 8]
        bytes.withUnsafeBytes { bytes in
            for index in 0..<3 {
                let descriptor = index == 1 ? closed.near : good.near
                ring.queue(descriptor: descriptor, bytes: bytes.baseAddress! + index, count: 1, userData: UInt64(index))
            }
            onAnotherThread { ring.submit { results[$0] = $1 } }
        }
        #expect(results == [0: 1, 1: -EPIPE, 2: 1])
        #expect(good.arrived() == [6, 8])
        #expect(ring.isEmpty)
        #expect(result(good.near, [9]) == 1)
        #expect(good.arrived() == [9])
    }

    @Test func nothingQueuedIsNothingReported() {
        ring.submit { _, _ in Issue.record("a completion of nothing") }
    }

    @Test func aRingGivesItsDescriptorBack() throws {
        func openRings() -> Int {
            (0..<4_096).count { descriptor in
                var target = [CChar](repeating: 0, count: 64)
                guard readlink("/proc/self/fd/\(descriptor)", &target, target.count - 1) > 0 else { return false }
                return strcmp(target, "anon_inode:[io_uring]") == 0
            }
        }
        // Other tests' workers open and close theirs meanwhile, but not hundreds.
        let before = openRings()
        for _ in 0..<400 { #expect(SendRing() != nil) }
        #expect(openRings() < before + 200)
    }
}
