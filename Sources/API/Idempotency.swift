internal import Crypto
internal import NIOCore
internal import NIOHTTP1

/// Recognises repeated requests: a request with the `Idempotency-Key` of an earlier one gets the earlier answer and is
/// not executed a second time (draft-ietf-httpapi-idempotency-key-header).
actor Idempotency {
    /// How long an answer is kept.
    static let lifetime: Duration = .seconds(300)
    /// The maximum memory for answers in bytes: some 100,000 short ones, 300 per second. Dropping an answer too early
    /// would silently break the promise, so requests with new keys are refused instead when the memory is full.
    static let byteLimit = 32 << 20
    /// The size of an entry besides its key and the body of its answer, in bytes.
    private static let entryByteCount = 256
    /// The maximum length of a key in bytes.
    static let maximumKeyByteCount = 128

    private struct Entry {
        var fingerprint: SHA256Digest
        /// The answer; nil while the request is being executed.
        var answer: Response?
    }

    private var entries: [String: Entry] = [:]
    /// The keys of the answers, in the order in which they were stored.
    private var order: CircularBuffer<(key: String, expires: ContinuousClock.Instant)> = []
    private var byteCount = 0
    private let byteLimit: Int
    private let now: @Sendable () -> ContinuousClock.Instant

    init(
        byteLimit: Int = Idempotency.byteLimit,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.byteLimit = byteLimit
        self.now = now
    }

    /// Executes a request, unless its key says that this was done before.
    func perform(_ request: Request, _ act: @Sendable () async -> Response) async -> Response {
        guard let key = request.headers.first(name: "idempotency-key") else { return await act() }
        guard (1...Self.maximumKeyByteCount).contains(key.utf8.count),
            key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            let detail = "an Idempotency-Key has 1 to \(Self.maximumKeyByteCount) visible ASCII characters"
            return Problem(.badRequest, detail).answer
        }
        forgetOld()
        // A different path, body or API key with the same idempotency key is a mistake of the client.
        var hash = SHA256()
        hash.update(data: Array("\(request.path)\n\(request.key ?? "")\n".utf8))
        hash.update(data: request.body)
        let fingerprint = hash.finalize()
        if let known = entries[key] {
            guard known.fingerprint == fingerprint else {
                return Problem(
                    .unprocessableEntity,
                    "this Idempotency-Key came with another request; take a new one for a new request"
                ).answer
            }
            guard var answer = known.answer else {
                return Problem(
                    .conflict, "the request with this Idempotency-Key is being carried out; try again",
                    fields: [("Retry-After", "1")]
                ).answer
            }
            answer.fields.append(("Idempotency-Replayed", "true"))
            return answer
        }
        guard byteCount + Self.byteCount(key) <= byteLimit else {
            let seconds = order.first.map { max(1, ($0.expires - now()).components.seconds + 1) } ?? 1
            return Problem(
                .serviceUnavailable, "so many Idempotency-Keys are kept that there is no room for another; wait",
                fields: [("Retry-After", "\(seconds)")]
            ).answer
        }
        entries[key] = Entry(fingerprint: fingerprint)
        byteCount += Self.byteCount(key)
        let answer = await act()
        // A request that failed may be tried again.
        guard answer.status == .ok, !answer.isVoid else {
            entries[key] = nil
            byteCount -= Self.byteCount(key)
            return answer
        }
        entries[key]!.answer = answer
        order.append((key, now() + Self.lifetime))
        byteCount += answer.body.count
        return answer
    }

    private static func byteCount(_ key: String) -> Int { entryByteCount + key.utf8.count }

    private func forgetOld() {
        let time = now()
        while let (key, expires) = order.first, expires <= time {
            order.removeFirst()
            byteCount -= Self.byteCount(key) + (entries.removeValue(forKey: key)?.answer?.body.count ?? 0)
        }
    }
}
