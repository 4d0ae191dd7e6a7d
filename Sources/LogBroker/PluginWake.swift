import CBrokerPlugin
import Glibc
import NIOCore
import NIOPosix

/// The pipe that a plugin writes to when it has events, and its reader on an event loop.
final class PluginWake {
    private let input: CInt
    let output: CInt
    private var channel: (any Channel)?
    private var isClosed = false

    init() throws(LogPlugin.Unusable) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw LogPlugin.Unusable(description: "no pipe can be made: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        input = ends[0]
        output = ends[1]
    }

    /// Calls `body` on the loop whenever the plugin has written, and once at the beginning.
    func listen(on loop: any EventLoop, _ body: @escaping () -> Void) {
        let handler = NIOLoopBound(WakeHandler(body), eventLoop: loop)
        NIOPipeBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
            .takingOwnershipOfDescriptor(input: input)
            .assumeIsolated()
            .whenSuccess { [weak self] channel in
                guard let self, !isClosed else {
                    channel.close(promise: nil)
                    return
                }
                self.channel = channel
                body()
            }
    }

    /// Ends it, after the plugin has been told to write no more.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        channel?.close(promise: nil)
        Glibc.close(output)
    }

    /// Closes both ends of a pipe that nobody listens to.
    func discard() {
        isClosed = true
        Glibc.close(input)
        Glibc.close(output)
    }
}

/// Takes the bytes out of the pipe.
private final class WakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let wake: () -> Void

    init(_ wake: @escaping () -> Void) { self.wake = wake }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { wake() }
}

extension LogPlugin {
    typealias Open =
        @convention(c) (
            UnsafePointer<wsd_option>?, Int, CInt, UnsafeMutablePointer<CChar>?, Int
        ) -> OpaquePointer?

    /// Has the plugin begin to connect.
    func open(
        _ open: Open, _ options: [(key: String, value: String)], _ wake: PluginWake
    ) throws(Unusable) -> OpaquePointer {
        var error = [CChar](repeating: 0, count: 1_024)
        let texts = options.map { (strdup($0.key), strdup($0.value)) }
        defer {
            for (key, value) in texts {
                free(key)
                free(value)
            }
        }
        let rows = texts.map { wsd_option(key: $0.0, value: $0.1) }
        let opened = rows.withUnsafeBufferPointer { rows in
            open(rows.baseAddress, rows.count, wake.output, &error, error.count)
        }
        if let opened { return opened }
        wake.discard()
        let end = error.firstIndex(of: 0) ?? error.endIndex
        throw Unusable(description: String(decoding: error[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
}

extension wsd_event {
    /// What is said in words.
    var words: String { text.map { String(cString: $0) } ?? "" }
    var keyBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: key, count: key == nil ? 0 : key_count) }
    var valueBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : value_count)
    }
}
