internal import Crypto
internal import NIOHTTP1

/// Requests that come again: one with the `Idempotency-Key` of an earlier one is answered with that one's answer and not
/// carried out a second time (draft-ietf-httpapi-idempotency-key-header).
actor Idempotency {
    /// How long an answer is kept, and how many are.
    static let lifetime: Duration = .seconds(300)
    static let capacity = 10_000
    /// What the answers may take, in bytes.
    static let byteLimit = 16 << 20
    /// The longest key, in bytes.
    static let maximumKeyByteCount = 128

    private struct Entry {
        var fingerprint: SHA256Digest
        /// Nil while the request is carried out.
        var answer: Answer?
        var expires: ContinuousClock.Instant
    }

    private var entries: [String: Entry] = [:]
    /// The keys in the order in which they came.
    private var order: [(key: String, expires: ContinuousClock.Instant)] = []
    private var byteCount = 0
    private let now: @Sendable () -> ContinuousClock.Instant

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) { self.now = now }

    /// Carries a request out unless its key says that this has been done.
    func perform(_ request: Request, _ act: @Sendable () async -> Answer) async -> Answer {
        guard let key = request.headers.first(name: "idempotency-key") else { return await act() }
        guard (1...Self.maximumKeyByteCount).contains(key.utf8.count),
            key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            let detail = "an Idempotency-Key has 1 to \(Self.maximumKeyByteCount) visible ASCII characters"
            return Problem(.badRequest, detail).answer
        }
        forgetOld()
        // Another path, body or API key with the same key is a mistake of the caller's.
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
        let expires = now() + Self.lifetime
        entries[key] = Entry(fingerprint: fingerprint, answer: nil, expires: expires)
        order.append((key, expires))
        let answer = await act()
        guard entries[key]?.expires == expires else { return answer }
        // What failed may be tried again.
        guard answer.status == .ok else {
            entries[key] = nil
            return answer
        }
        entries[key]!.answer = answer
        byteCount += answer.body.count
        return answer
    }

    private func forgetOld() {
        let time = now()
        // Room for some more is made at once: taking one off the front costs as much as taking many.
        let excess = order.count > Self.capacity ? order.count - Self.capacity * 7 / 8 : 0
        var dropped = 0
        var bytes = byteCount
        for (key, expires) in order {
            guard dropped < excess || expires <= time || bytes > Self.byteLimit else { break }
            dropped += 1
            // A key whose request failed may have come again since.
            guard entries[key]?.expires == expires, let entry = entries.removeValue(forKey: key) else { continue }
            bytes -= entry.answer?.body.count ?? 0
        }
        byteCount = bytes
        order.removeFirst(dropped)
    }
}
