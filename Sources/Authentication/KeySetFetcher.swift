internal import FoundationEssentials
internal import Glibc
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import TLSChannel
internal import TLSHandshake

/// Fetches a key set: one GET, bounded in time and size, and no redirects.
package struct KeySetFetcher: Sendable {
    private static let timeout: TimeAmount = .seconds(5)
    private let group: any EventLoopGroup

    package init(group: any EventLoopGroup) { self.group = group }

    func fetch(_ url: String) async throws(KeyError) -> FetchedKeySet {
        do { return try await answer(to: url).get() } catch let error as KeyError { throw error } catch {
            throw KeyError("\(url): \(Self.text(error))")
        }
    }

    private func answer(to url: String) throws -> EventLoopFuture<FetchedKeySet> {
        guard let target = URLTarget(url) else { throw KeyError("\(url): no URL of http or https") }
        let tls = target.isTLS ? try Self.context() : nil
        let loop = group.next()
        let promise = loop.makePromise(of: FetchedKeySet.self)
        let connected = ClientBootstrap(group: loop)
            .connectTimeout(Self.timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler = try TLSClientHandler(tls, serverName: target.host)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(
                        AnswerHandler(target, url: url, timeout: Self.timeout, promise))
                }
            }
            .connect(host: target.host, port: target.port)
        connected.whenFailure { promise.fail($0) }
        return promise.futureResult
    }

    /// Trusts the authorities in the file that `$SSL_CERT_FILE` names, or those of the system.
    private static func context() throws -> TLSClientContext {
        guard let path = getenv("SSL_CERT_FILE"), path.pointee != 0 else { return try TLSClientContext() }
        let origin = "$SSL_CERT_FILE (\(String(cString: path)))"
        let authorities = try KeyFileReader.contents(of: String(cString: path), shownAs: origin)
        do { return try TLSClientContext(authorities: authorities) } catch { throw KeyError("\(origin): \(error)") }
    }

    fileprivate static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            let causes = error.connectionErrors.map { text($0.error) }
            return causes.last ?? "the host \(error.host) has no address"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout: return "no connection within 5 s"
        case TLSClientFault.untrusted:
            return "the server \(error) ($SSL_CERT_FILE names other authorities)"
        case let error as TLSClientFault: return "the server \(error)"
        default: return "\(error)"
        }
    }
}

/// The parts of a URL that a request needs.
struct URLTarget: Sendable, Hashable {
    var isTLS: Bool
    var host: String
    var port: Int
    /// The value of the Host header.
    var authority: String
    /// The path and the query.
    var path: String

    init?(_ url: String) {
        guard let separator = url.firstRange(of: "://") else { return nil }
        isTLS = url[..<separator.lowerBound] == "https"
        guard isTLS || url[..<separator.lowerBound] == "http" else { return nil }
        let rest = url[separator.upperBound...]
        let end = rest.firstIndex { "/?".contains($0) } ?? rest.endIndex
        authority = String(rest[..<end])
        path = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
        var host = authority[...]
        var port = isTLS ? 443 : 80
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            guard let number = UInt16(host[host.index(after: colon)...]) else { return nil }
            port = Int(number)
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = port
    }
}

/// Sends the request and collects the response.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let target: URLTarget
    private let url: String
    private let timeout: TimeAmount
    private let promise: EventLoopPromise<FetchedKeySet>
    private var answer = FetchedKeySet(body: [])
    private var isDone = false
    private var deadline: Scheduled<Void>?

    init(_ target: URLTarget, url: String, timeout: TimeAmount, _ promise: EventLoopPromise<FetchedKeySet>) {
        self.target = target
        self.url = url
        self.timeout = timeout
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: timeout) {
            let (handler, context) = bound.value
            handler.fail("no answer within \(handler.timeout.nanoseconds / 1_000_000_000) s", context)
        }
        let fields: HTTPHeaders = [
            "Host": target.authority, "Accept": "application/jwk-set+json, application/json", "User-Agent": "wsd",
            "Connection": "close",
        ]
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target.path, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard head.status == .ok else {
                let hint = (300..<400).contains(head.status.code) ? "; write the URL that it leads to" : ""
                return fail("answered with \(head.status.code) \(head.status.reasonPhrase)\(hint)", context)
            }
            answer.lifetime = head.headers[canonicalForm: "cache-control"].lazy
                .compactMap { $0.hasPrefix("max-age=") ? Int($0.dropFirst(8)) : nil }
                .first.map { .seconds($0) }
        case .body(let part):
            guard answer.body.count + part.readableBytes <= KeyFileReader.maximumByteCount else {
                return fail("larger than 1 MiB, so hardly a key set", context)
            }
            answer.body += part.readableBytesView
        case .end:
            finish(context)
            promise.succeed(answer)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { fail("the connection ended before the answer", context) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isDone else { return }
        fail(KeySetFetcher.text(error), context)
    }

    private func fail(_ reason: String, _ context: ChannelHandlerContext) {
        guard !isDone else { return }
        finish(context)
        promise.fail(KeyError("\(url): \(reason)"))
    }

    private func finish(_ context: ChannelHandlerContext) {
        isDone = true
        deadline?.cancel()
        context.close(promise: nil)
    }
}

/// The answer of a URL.
struct FetchedKeySet: Sendable {
    var body: [UInt8]
    /// How long the answer is valid (`Cache-Control: max-age`, RFC 9111); nil if it doesn't say.
    var lifetime: Duration?
}
