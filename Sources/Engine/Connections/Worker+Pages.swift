import Base
import WebSocket

/// What a worker answers to requests that are no WebSocket's: pages, answers to challenges, and the way to https.
extension Worker {
    /// The answer to a request for a page.
    func answer(_ page: Page, _ head: RequestHead, _ connection: Connection) -> Answer {
        guard head.method == "GET" || head.method == "HEAD" else { return Worker.otherMethod }
        if page.isForPeople, let port = portForRedirect(connection) {
            guard let host = Worker.hostWithoutPort(head.value("host") ?? "") else {
                return .refuse(Refusal(.badRequest, "the Host field is malformed"), .badRequest)
            }
            let target = head.path + (head.query.map { "?\($0)" } ?? "")
            return .page(Worker.redirect("https://\(host)\(port == 443 ? "" : ":\(port)")\(target)"))
        }
        if page.matches(ifNoneMatch: head) { return .page(page.notModified) }
        return .page(head.method == "HEAD" ? page.headOnly : page.answer)
    }

    /// The answer to a request of a certificate authority.
    func answer(toChallenge token: Substring, _ directory: ChallengeDirectory, _ head: RequestHead) -> Answer {
        guard head.method == "GET" || head.method == "HEAD" else { return Worker.otherMethod }
        return .challenge(String(token), directory, includesBody: head.method == "GET")
    }

    /// Has the answer to a challenge read. The connection waits for it as for that to a token.
    func read(
        _ token: String, in directory: ChallengeDirectory, includesBody: Bool, _ connection: Connection,
        _ known: RefusedAs
    ) {
        ingress.work += Worker.challengeWork
        let asking = reference(to: connection)
        let mailbox = handle.mailbox
        let isTaken = context.challengeReader(for: directory).read {
            directory.answer(to: token)
        } then: { answer in
            mailbox.post(.connections(.challenge(asking, answer: answer, includesBody: includesBody, known)))
        }
        guard isTaken else {
            return refuse(
                connection, Worker.tooManyChallenges, cause: .memoryLimit, known, includesBody: includesBody)
        }
        connection.advance(.requested)
    }

    /// Takes the answer to the challenge of a waiting connection; nil if there is none.
    func answered(
        _ reference: ConnectionReference, challenge answer: [UInt8]?, includesBody: Bool, _ known: RefusedAs
    ) {
        guard let connection = slab.find(reference), connection.phase == .admitting, connection.pendingOpen == nil
        else { return }
        guard let answer else {
            let refusal = Refusal(.notFound, "there is no answer to this challenge")
            return refuse(connection, refusal, cause: .notFound, known, includesBody: includesBody)
        }
        sendPage(connection, Worker.response(answer, includesBody: includesBody))
    }

    private static let tooManyChallenges = Refusal(
        .serviceUnavailable, "too many answers to challenges are being read; try again", fields: [retryAfter])

    private static func response(_ bytes: [UInt8], includesBody: Bool) -> Segment {
        let response = """
            HTTP/1.1 200 OK\r
            Content-Type: application/octet-stream\r
            Content-Length: \(bytes.count)\r
            Cache-Control: no-store\r
            X-Content-Type-Options: nosniff\r
            Connection: close\r\n\r\n
            """
        return Segment(copying: Array(response.utf8) + (includesBody ? bytes : []))
    }

    private static let otherMethod = Answer.refuse(
        Refusal(.methodNotAllowed, "this page is read with GET or HEAD", fields: ["Allow: GET, HEAD"]), .method)

    /// The work of beginning a thread.
    private static let challengeWork = 64 * 1024

    /// The port for https to which a client is redirected; nil if it stays. It stays behind a trusted proxy, and
    /// behind one at a Unix socket, which have TLS themselves.
    private func portForRedirect(_ connection: Connection) -> UInt16? {
        guard !connection.flags.contains(.secure), connection.address != .none,
            !configuration.isTrustedProxy(connection.address)
        else { return nil }
        return configuration.redirectPort
    }

    /// Browsers ask again each time, for the permanent may end.
    private static func redirect(_ location: String) -> Segment {
        let response = """
            HTTP/1.1 308 Permanent Redirect\r
            Location: \(location)\r
            Content-Length: 0\r
            Cache-Control: no-cache\r
            Connection: close\r\n\r\n
            """
        return Segment(copying: Array(response.utf8))
    }

    /// The host of a Host field, a name or an address; nil if it is neither.
    static func hostWithoutPort(_ field: String) -> Substring? {
        let isAddress = field.hasPrefix("[")
        let end = isAddress ? field.firstIndex(of: "]").map { field.index(after: $0) } : field.firstIndex(of: ":")
        let host = field[..<(end ?? field.endIndex)]
        let rest = field[host.endIndex...]
        let inner = isAddress ? host.dropFirst().dropLast() : host
        guard !inner.isEmpty, !isAddress || host.hasSuffix("]"), rest.isEmpty || rest.hasPrefix(":") else { return nil }
        let isPlain = inner.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."):
                true
            case UInt8(ascii: "-"), UInt8(ascii: "_"): !isAddress
            case UInt8(ascii: ":"): isAddress
            default: false
            }
        }
        return isPlain ? host : nil
    }
}
