import CLinux
import Glibc

/// Descriptors on their way to a process that does not exist yet: they are messages in a pair of Unix sockets, of which
/// only the receiving end has to be kept. As long as this process has the sending end, it can tell whether somebody does.
///
/// One descriptor in the store for each connection would cost systemd a time that grows with the square of their number:
/// 51 seconds for 9,000, against some milliseconds for 36 messages with 253 descriptors each. Each message has the number
/// of its descriptors and a mark for each, in `messageByteCount` bytes.
package enum DescriptorPost {
    /// A descriptor with what the receiver has to know of it.
    package struct Item: Sendable, Equatable {
        package var descriptor: Int32
        package var isMarked: Bool

        package init(descriptor: Int32, isMarked: Bool) {
            self.descriptor = descriptor
            self.isMarked = isMarked
        }
    }

    /// The result of sending.
    package struct Sent: Sendable {
        /// The receiving ends, in the order in which they have to be read: one at least, unless there can be none.
        package var ends: [Int32]
        /// The sending ends, in the same order.
        package var sources: [Int32]
        /// The number of items that were sent, from the first on.
        package var count: Int
        /// The errno with which sending has ended; 0 if everything was sent.
        package var error: Int32
    }

    /// The maximum number of descriptors in a message.
    package static let mostAtOnce = Int(CLINUX_DESCRIPTORS_AT_ONCE)
    /// Four bytes with the number of descriptors, and a bit for each.
    static let messageByteCount = 4 + 32
    /// The size that is asked for a sending end. The kernel gives `net.core.wmem_max` at most, by default enough for some
    /// tens of thousands of descriptors.
    private static let bufferByteCount: Int32 = 64 * 1024 * 1024

    /// Sends items through as many pairs of sockets as they need, but `pairLimit` at most. The items stay open here.
    package static func send(_ items: [Item], pairLimit: Int) -> Sent {
        var sent = Sent(ends: [], sources: [], count: 0, error: 0)
        var isFull = true
        while sent.count < items.count || sent.ends.isEmpty {
            if isFull {
                guard sent.ends.count < pairLimit, let pair = makePair() else {
                    sent.error = sent.ends.count < pairLimit ? errno : ENOBUFS
                    return sent
                }
                sent.sources.append(pair.source)
                sent.ends.append(pair.end)
                isFull = false
            }
            let batch = items[sent.count..<min(items.count, sent.count + mostAtOnce)]
            guard let source = sent.sources.last, !batch.isEmpty else { return sent }
            let error = send(batch, to: source)
            switch error {
            case 0:
                sent.count += batch.count
            case EAGAIN, ENOBUFS:
                isFull = true
            default:
                sent.error = error
                return sent
            }
        }
        return sent
    }

    /// Whether somebody has the receiving ends of all these sending ends. This process must have closed its own.
    ///
    /// - Parameter patience: how long one that is about to be closed is waited for. Blocks its thread.
    package static func areKept(_ sources: [Int32], patience: Duration) -> Bool {
        // A hangup is reported unasked.
        var polled = sources.map { pollfd(fd: $0, events: 0, revents: 0) }
        while true {
            let count = poll(&polled, nfds_t(polled.count), Int32(patience / .milliseconds(1)))
            if count >= 0 || errno != EINTR { return count <= 0 }
        }
    }

    private static func makePair() -> (source: Int32, end: Int32)? {
        var pair: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { return nil }
        _ = clinux_set_option(pair[0], SOL_SOCKET, SO_SNDBUF, bufferByteCount)
        return (pair[0], pair[1])
    }

    private static func send(_ items: ArraySlice<Item>, to socket: Int32) -> Int32 {
        var message = [UInt8](repeating: 0, count: messageByteCount)
        withUnsafeBytes(of: UInt32(items.count).littleEndian) { message.replaceSubrange(0..<4, with: $0) }
        for (place, item) in items.enumerated() where item.isMarked { message[4 + place / 8] |= 1 << UInt8(place % 8) }
        return clinux_send_descriptors(
            socket, items.map(\.descriptor), items.count, message, messageByteCount)
    }

    /// Receives everything that waits in a receiving end, message by message, and closes that. Descriptors of a message
    /// that is damaged are marked.
    ///
    /// - Parameter body: may close descriptors to make room for those of the next message, of which there are
    ///   `mostAtOnce` at most. The kernel closes those for which there is none.
    package static func receive(from end: Int32, _ body: ([Item]) -> Void) {
        defer { close(end) }
        var message = [UInt8](repeating: 0, count: messageByteCount)
        var descriptors = [Int32](repeating: -1, count: mostAtOnce)
        while true {
            var count = 0
            let size = clinux_receive_descriptors(end, &descriptors, &count, &message, messageByteCount)
            guard size > 0 else { return }
            let expected = message[..<4].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
            let isWhole = size == messageByteCount && expected == count
            body(
                (0..<min(count, mostAtOnce)).map { place in
                    let isMarked = !isWhole || message[4 + place / 8] >> UInt8(place % 8) & 1 == 1
                    return Item(descriptor: descriptors[place], isMarked: isMarked)
                })
        }
    }
}
