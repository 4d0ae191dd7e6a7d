import NIOCore

/// Passes what a channel receives to its connection, as values.
final class RedisHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let connection: RedisConnection
    private var decoder: RESPDecoder
    private var isDamaged = false

    init(_ connection: RedisConnection, _ limits: RESPDecoder.Limits) {
        self.connection = connection
        decoder = RESPDecoder(limits: limits)
    }

    func channelActive(context: ChannelHandlerContext) {
        connection.opened(context.channel)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDamaged else { return }
        let bytes = unwrapInboundIn(data)
        connection.received(bytes.readableBytes)
        decoder.append(bytes)
        do {
            while let value = try decoder.next() { connection.received(value) }
        } catch {
            isDamaged = true
            connection.close(because: "does not speak Redis' protocol: it sent \(error)")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { connection.handled() }

    func channelInactive(context: ChannelHandlerContext) { connection.ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { connection.failed(error) }
}
