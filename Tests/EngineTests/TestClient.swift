import Glibc
import WebSocket

@testable import Engine

/// A blocking WebSocket client of a few lines, so that the engine is tested over real sockets.
final class TestClient {
    let descriptor: Int32
    private var buffer: [UInt8] = []

    struct Frame: Equatable {
        var opcode: UInt8
        var payload: [UInt8]
    }

    init(port: UInt16, path: String = "/ws", fields: String = "") throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure.notConnected(errno) }
        // Nothing waits for ever: a test that would hang fails instead.
        var limit = timeval(tv_sec: 240, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        send(
            """
            GET \(path) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\(fields)\r\n
            """)
    }

    deinit { close(descriptor) }

    /// Has the connection's end be a reset.
    func endWithReset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }

    enum Failure: Error { case notConnected(Int32), ended, refused(String) }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// What is to be sent at once.
    private var corked: [UInt8]?

    /// Sends all that `body` sends with one call, so that it comes in one turn.
    func together(_ body: () -> Void) {
        corked = []
        body()
        let bytes = corked ?? []
        corked = nil
        send(bytes)
    }

    func send(_ bytes: [UInt8]) {
        guard corked == nil else {
            corked?.append(contentsOf: bytes)
            return
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends a masked frame.
    func send(_ opcode: UInt8, _ payload: [UInt8]) {
        var bytes: [UInt8] = [0x80 | opcode]
        if payload.count < 126 {
            bytes.append(0x80 | UInt8(payload.count))
        } else if payload.count <= 0xFFFF {
            bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        } else {
            bytes.append(0x80 | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: payload.count >> shift))
            }
        }
        let key: [UInt8] = [1, 2, 3, 4]
        send(bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] })
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = receive(&chunk)
        guard count > 0 else { throw Failure.ended }
        buffer += chunk[..<count]
    }

    /// The result of `recv`. With a time-out, signals interrupt it whatever SA_RESTART says (signal(7)), and tests of the
    /// profiler send them to all threads.
    private func receive(_ chunk: inout [UInt8]) -> Int {
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count >= 0 || errno != EINTR { return count }
        }
    }

    /// The answer's status line; what follows the head stays for `frame()`.
    func status() throws -> String { String(try head().prefix { $0 != "\r\n" }) }

    /// The whole head of the answer.
    func head() throws -> String {
        while true {
            if let end = buffer.indices.dropLast(3).first(where: { buffer[$0..<($0 + 4)] == [13, 10, 13, 10] }) {
                let head = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 4)
                return head + "\r\n"
            }
            try fill()
        }
    }

    @discardableResult
    func opened() throws -> TestClient {
        let line = try status()
        guard line.hasPrefix("HTTP/1.1 101") else { throw Failure.refused(line) }
        return self
    }

    func frame() throws -> Frame {
        while true {
            let parsed = buffer.withUnsafeBytes { FrameHeader(parsing: $0) }
            if let header = parsed, buffer.count >= header.byteCount + Int(header.payloadByteCount) {
                let end = header.byteCount + Int(header.payloadByteCount)
                let frame = Frame(opcode: header.opcodeBits, payload: Array(buffer[header.byteCount..<end]))
                buffer.removeFirst(end)
                return frame
            }
            try fill()
        }
    }

    /// Sends a text message.
    func say(_ text: String) { send(1, Array(text.utf8)) }

    /// The next frame's payload as text.
    func text() throws -> String { String(decoding: try frame().payload, as: UTF8.self) }

    /// The next frame that is meant.
    func frame(where isMeant: (Frame) -> Bool) throws -> Frame {
        while true {
            let next = try frame()
            if isMeant(next) { return next }
        }
    }

    /// Says goodbye with 1000.
    func leave() { send(8, [0x03, 0xE8]) }

    func shutDown() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Whether the server has closed its side.
    func isAtEnd() -> Bool {
        guard buffer.isEmpty else { return false }
        var byte: [UInt8] = [0]
        return receive(&byte) == 0
    }
}
