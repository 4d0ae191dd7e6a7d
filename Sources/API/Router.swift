package import ClusterControl
package import Control
internal import NIOHTTP1
internal import WebSocket

/// Finds the method for a request, checks its key, and runs it.
package struct Router: Sendable {
    /// The maximum size of a body; a batch of a thousand messages fits.
    package static let maximumBodyByteCount = 8 << 20

    private let ring: KeyRing
    private let methods: Methods
    private let observer: any Observer
    private let idempotency = Idempotency()
    private let wrongKeys = WrongKeys()
    private let counts = RequestCounts()
    private var report: @Sendable (String) -> Void = { _ in }

    /// The part outside of the API proper, which needs no key.
    package protocol Observer: Sendable {
        /// The metrics in Prometheus' text format, or in OpenMetrics'.
        ///
        /// - Parameter requests: the counts of requests to the API and its probes.
        func metrics(openMetrics: Bool, requests: [(path: String, status: UInt, count: UInt64)]) async -> String
        /// The reason why the daemon isn't alive; nil if it is.
        func whyNotAlive() async -> String?
        /// The reason why the daemon accepts no connections; nil if it does.
        func whyNotReady() async -> String?
    }

    struct Route: Sendable {
        var method: HTTPMethod
        var scope: Scope?
        /// Whether it takes long, so that it ends when the client goes away.
        var isLasting = false
        /// Whether it changes something, so that a repetition must be recognised.
        var isAct: Bool { method == .POST && scope != .read }
        var act: @Sendable (Router, Request) async throws -> Response
    }

    /// - Parameter cluster: all nodes; nil if this one has no broker.
    package init(backend: any ControlBackend, cluster: Cluster? = nil, keys: KeyRing, observer: any Observer) {
        ring = keys
        methods = Methods(backend: backend, cluster: cluster)
        self.observer = observer
    }

    /// A copy that logs which addresses send wrong keys.
    package func reporting(to report: @escaping @Sendable (String) -> Void) -> Router {
        var router = self
        router.report = report
        return router
    }

    /// All routes by path.
    private static let routes = [
        "/metrics": Route(method: .GET) { await $0.metrics($1) },
        "/healthz": Route(method: .GET) { router, _ in health(await router.observer.whyNotAlive()) },
        "/readyz": Route(method: .GET) { router, _ in health(await router.observer.whyNotReady()) },
        "/api/status": Route(method: .GET, scope: .read) { router, _ in await router.methods.status() },
        "/api/nodes": Route(method: .GET, scope: .read) { router, _ in try await router.methods.nodes() },
        "/api/connections": Route(method: .GET, scope: .read) { try await $0.methods.connections($1) },
        "/api/publish": Route(method: .POST, scope: .publish) { try await $0.methods.publish($1) },
        "/api/broadcast": Route(method: .POST, scope: .publish) { try await $0.methods.broadcast($1) },
        "/api/batch": Route(method: .POST, scope: .publish) { try await $0.methods.batch($1) },
        "/api/channels": Route(method: .GET, scope: .read) { try await $0.methods.channels($1) },
        "/api/presence": Route(method: .POST, scope: .read) { try await $0.methods.presence($1) },
        "/api/history": Route(method: .POST, scope: .read) { try await $0.methods.history($1) },
        "/api/openapi.json": Route(method: .GET) { _, _ in OpenAPI.answer },
        "/debug/pprof/profile": Route(method: .GET, scope: .admin, isLasting: true) {
            try await $0.methods.profile($1)
        },
        "/api/unsubscribe": Route(method: .POST, scope: .admin) { try await $0.methods.unsubscribe($1) },
        "/api/disconnect": Route(method: .POST, scope: .admin) { try await $0.methods.disconnect($1) },
    ]

    /// Every path with its method and the scope that its key needs; nil if none is needed.
    static var paths: [(path: String, method: String, scope: Scope?)] {
        routes.map { ($0.key, $0.value.method.rawValue, $0.value.scope) }
    }

    /// Whether a request only asks for the state of the daemon.
    func isProbe(_ request: Request) -> Bool { ["/metrics", "/healthz", "/readyz"].contains(request.path) }

    /// Executes a request that was admitted, and counts it.
    func answer(_ request: Request, by route: Route) async -> Response {
        let answer =
            route.isAct
            ? await idempotency.perform(request) { await carryOut(route, request) } : await carryOut(route, request)
        note(answer, request)
        return answer
    }

    /// The answer to a request that is refused, counted.
    ///
    /// - Parameter request: nil if the bytes were not a request.
    func refusal(_ problem: Problem, of request: Request?) -> Response {
        let answer = problem.answer
        note(answer, request)
        return answer
    }

    private func note(_ answer: Response, _ request: Request?) {
        let path = request.flatMap { Self.routes[$0.path] == nil ? nil : $0.path } ?? "other"
        counts.note(path: path, status: answer.status.code)
    }

    private func carryOut(_ route: Route, _ request: Request) async -> Response {
        do { return try await route.act(self, request) } catch { return Problem(error).answer }
    }

    /// The route of a request, unless its head shows that it must be refused.
    func admit(_ request: Request) throws(Problem) -> Route {
        guard let route = Self.routes[request.path] else {
            throw Problem(.notFound, "nothing is at \(request.path.prefix(128)); see /api/openapi.json")
        }
        let method = request.method == .HEAD ? .GET : request.method
        guard route.method == method else {
            let allowed = route.method.rawValue
            throw Problem(.methodNotAllowed, "\(request.path) takes \(allowed)", fields: [("Allow", allowed)])
        }
        if let scope = route.scope { try check(request, scope) }
        if method == .POST { try Self.checkContent(request.headers) }
        return route
    }

    private static func checkContent(_ headers: HTTPHeaders) throws(Problem) {
        let type = headers.first(name: "content-type")?.split(separator: ";").first?.trimmed.lowercased()
        guard type == nil || type == "application/json" else {
            throw Problem(.unsupportedMediaType, "the body must be application/json")
        }
        guard headers[canonicalForm: "content-encoding"].allSatisfy({ $0.lowercased() == "identity" }) else {
            throw Problem(
                .unsupportedMediaType, "the body must be as it is, without Content-Encoding",
                fields: [("Accept-Encoding", "identity")])
        }
    }

    private func check(_ request: Request, _ scope: Scope) throws(Problem) {
        let keys = ring.current
        guard !keys.isEmpty else {
            throw Problem(
                .forbidden,
                "the API has no keys; name a file with one in api.publish_key_file, api.read_key_file or "
                    + "api.admin_key_file, and reload")
        }
        guard let key = request.key else {
            throw Problem(
                .unauthorized, "a key is required: \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\"",
                fields: [("WWW-Authenticate", "Bearer realm=\"wsd\"")])
        }
        let scopes = keys.scopes(of: Array(key.utf8))
        guard !scopes.isEmpty else {
            if let count = wrongKeys.due(request.address) {
                report(
                    count == 1
                        ? "a wrong API key from \(request.address)"
                        : "\(count) wrong API keys, the last from \(request.address)")
            }
            // A request with a right key is served all the same: a proxy, or this machine, is one address for many
            // clients.
            guard !wrongKeys.isTooMany(request.address) else {
                throw Problem(
                    .tooManyRequests, "\(WrongKeys.limit) wrong keys in a minute; wait for the next",
                    fields: [("Retry-After", "60")])
            }
            wrongKeys.note(request.address)
            throw Problem(
                .unauthorized, "no such key",
                fields: [("WWW-Authenticate", "Bearer realm=\"wsd\", error=\"invalid_token\"")])
        }
        guard scopes.contains(where: { $0.covers(scope) }) else {
            throw Problem(.forbidden, "this key is not for \(request.path), which needs a key of api.\(scope)_key_file")
        }
    }

    private func metrics(_ request: Request) async -> Response {
        let isOpen = MetricsFormat(accept: request.headers["accept"]) == .openMetrics
        let type =
            isOpen
            ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8"
        return Response(.ok, type, Array(await observer.metrics(openMetrics: isOpen, requests: counts.all).utf8))
    }

    private static func health(_ reason: String?) -> Response {
        .text(reason == nil ? .ok : .serviceUnavailable, reason ?? "ok")
    }
}

extension Problem {
    /// The HTTP form of an error.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as ControlError: self.init(error)
        default: self.init(.internalServerError, "the daemon could not do that: \(error)")
        }
    }

    /// The HTTP form of an error of the hub.
    private init(_ error: ControlError) {
        switch error {
        case .noSuchConnection(let id, _): self.init(.notFound, "no connection \(id)")
        case .noSuchChannel(let name): self.init(.notFound, "nobody is in \"\(name)\", and nothing is kept of it")
        case .invalidFilter(let field, let value, let reason):
            self.init(.badRequest, "\(field) \"\(value)\": \(reason)")
        case .nothingSelected:
            self.init(
                .badRequest, "name connections by ids, user, ip, channel or endpoint; for every one \"all\": true")
        case .invalidCloseCode(let code):
            self.init(.badRequest, "\(code) is no close code; take 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999")
        case .reasonTooLong(let count, let limit):
            self.init(.badRequest, "the reason has \(count) bytes; it may have \(limit)")
        case .messageTooLarge(let count, let limit):
            self.init(.payloadTooLarge, "the message has \(count) bytes; websocket.max_message_size is \(limit)")
        case .unavailable(let reason):
            self.init(.serviceUnavailable, reason, fields: [("Retry-After", "1")])
        case .rejected(let reason): self.init(.payloadTooLarge, reason)
        case .invalidParameter("after"):
            self.init(.badRequest, "\"after\" must be the value of \"next\" in the previous response")
        case .invalidParameter(let name): self.init(.badRequest, "\"\(name)\" is invalid; see /api/openapi.json")
        case .reloadFailed(let errors): self.init(.conflict, errors.joined(separator: "; "))
        case .profileFailed(let reason): self.init(.conflict, reason)
        case .questionTooLarge(let count, let limit):
            self.init(
                .payloadTooLarge,
                "for other nodes the message has \(count) bytes, in JSON; it may have \(limit) unless it is for channels"
            )
        case .noBroker: self.init(.conflict, "this node has no broker: see [broker] in wsd.toml(5)")
        case .noSigningKey: self.init(.conflict, "there is no auth.hmac_secret_file to sign a token with")
        }
    }
}

/// The description of the API (OpenAPI 3.1), for programs.
enum OpenAPI {
    static let answer = Response(.ok, "application/json", document)

    private static var document: [UInt8] {
        let text = String(decoding: PackageResources.openapi_json, as: UTF8.self)
        return Array(text.replacing("\"VERSION\"", with: "\"\(WSD.version)\"", maxReplacements: 1).utf8)
    }
}
