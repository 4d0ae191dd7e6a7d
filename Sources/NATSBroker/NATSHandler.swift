import NIOCore

/// Passes what a channel receives to its connection, as operations.
final class NATSHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let connection: NATSConnection
    private var decoder = NATSDecoder()
    private var isDamaged = false

    init(_ connection: NATSConnection) { self.connection = connection }

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
            while let operation = try decoder.next() { connection.received(operation, isLast: decoder.isEmpty) }
        } catch {
            isDamaged = true
            connection.close(because: "does not speak NATS' protocol: it sent \(error)")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { connection.handled() }

    func channelInactive(context: ChannelHandlerContext) { connection.ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { connection.failed(error) }
}
