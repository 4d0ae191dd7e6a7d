import Glibc
import Testing
import Varlink

/// A client that sends whatever bytes a test wants.
final class RawSocket: @unchecked Sendable {  // One test task at a time.
    private let descriptor: CInt
    private var splitter = FrameSplitter()

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        let address = try #require(UnixAddress(path: path))
        try #require(address.withSockaddr { connect(descriptor, $0, $1) } == 0)
        var timeout = timeval(tv_sec: 240, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { Glibc.close(descriptor) }

    /// Sends all of it; false when the peer has closed meanwhile.
    @discardableResult
    func send(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Says that nothing more comes.
    func finishSending() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// The next message; nil when the peer has closed.
    func receive() throws -> String? {
        while true {
            if let frame = try splitter.next() { return String(decoding: frame, as: UTF8.self) }
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { Issue.record("no answer") }
            guard count > 0 else { return nil }
            splitter.append(bytes[..<count])
        }
    }

    /// Everything until the peer closes.
    func receiveAll() throws -> [String] {
        var all: [String] = []
        while let message = try receive() { all.append(message) }
        return all
    }
}
