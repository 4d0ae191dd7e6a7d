import Glibc

/// The results of all threads of a run together.
struct Tally: Sendable {
    private(set) var total: LoadResult
    /// The number of messages that connections which stayed open to the end should have received and did not, plus
    /// those that any connection missed before its last one.
    private(set) var lostCount = 0
    /// The number of deliveries that were expected, at the connections that were open to the end.
    private(set) var expectedCount = 0
    private(set) var deliveredCount = 0
    private(set) var duplicateCount = 0
    private(set) var disorderCount = 0

    init(plan: Plan, results: [LoadResult]) {
        total = LoadResult(laneCount: 0)
        for result in results { total.add(result) }
        let publishers = results.isEmpty ? 0 : plan.publisherCount
        let sent = (0..<publishers).map { (publisher: Int) -> Int in
            let (thread, local) = plan.place(ofPublisher: publisher)
            return results[thread].publisherSentCounts[local]
        }
        // A server needn't answer each ping (RFC 6455, section 5.5.3).
        guard plan.traffic != .ping else { return }
        for (thread, result) in results.enumerated() {
            deliveredCount += result.account.deliveredCount
            duplicateCount += result.account.duplicateCount
            disorderCount += result.account.disorderCount
            switch plan.audience {
            case .own: addOwn(plan, thread, result, sent)
            case .everyone: addEveryone(plan, result, sent)
            }
        }
    }

    private mutating func addOwn(_ plan: Plan, _ thread: Int, _ result: LoadResult, _ sent: [Int]) {
        for lane in 0..<plan.publisherCount(ofThread: thread) {
            let count = sent[plan.number(of: lane, thread: thread)]
            add(result.account, lane: lane, sent: count, hasEnded: result.endedConnections.contains(lane))
        }
    }

    private mutating func addEveryone(_ plan: Plan, _ result: LoadResult, _ sent: [Int]) {
        for connection in result.countedConnections {
            let hasEnded = result.endedConnections.contains(connection)
            for publisher in sent.indices {
                let lane = connection * plan.publisherCount + publisher
                add(result.account, lane: lane, sent: sent[publisher], hasEnded: hasEnded)
            }
        }
    }

    private mutating func add(_ account: DeliveryAccount, lane: Int, sent: Int, hasEnded: Bool) {
        if hasEnded {
            lostCount += account.missingBeforeEnd(lane: lane)
            expectedCount += account.position(lane: lane)
        } else {
            lostCount += account.missingCount(lane: lane, sentCount: sent)
            expectedCount += sent
        }
    }

    /// The number of connections that ended unexpectedly.
    var endedCount: Int { total.ends.values.reduce(0, +) }
    var refusedCount: Int { total.refusals.values.reduce(0, +) }
    var errorCount: Int { total.errors.values.reduce(0, +) }

    /// Whether every message arrived once and in order, and every connection opened and stayed open.
    var isClean: Bool {
        lostCount + duplicateCount + disorderCount + total.damagedCount + endedCount + refusedCount + errorCount == 0
    }

    /// The failure of a run in which no connection opened.
    var nothingOpened: Failure {
        if let (status, _) = total.refusals.max(by: { $0.value < $1.value }) {
            return Failure(
                "every connection was refused with HTTP status \(status)", advice: Self.advice(status: status))
        }
        guard let (error, _) = total.errors.max(by: { $0.value < $1.value }) else {
            return Failure("nothing was opened")
        }
        return Failure(
            "cannot connect: \(error)", advice: Self.advice(error: error),
            exitCode: error == "EADDRNOTAVAIL" || error == "EMFILE" || error.hasPrefix("protocol") ? 1 : EX_UNAVAILABLE)
    }

    /// Advice for an HTTP status.
    static func advice(status: Int) -> String? {
        switch status {
        case 401: "It wants to know who you are: --header 'Authorization: Bearer TOKEN'."
        case 403: "Does it want another origin? --origin https://example.org"
        case 404: "Is the path of the URL an endpoint of this server?"
        case 429: "It limits connections per address: use more with --sources, or raise max_connections_per_ip."
        case 503: "It is full, or ending: raise max_connections."
        default: nil
        }
    }

    /// Advice for an error of the kernel.
    static func advice(error: String) -> String? {
        switch error {
        case "ECONNREFUSED": "Nobody listens there. Is the server running, and on this port?"
        case "EADDRNOTAVAIL": "All local ports to that server are in use: connect from more addresses with --sources."
        case "EMFILE": "Too few file descriptors: raise the limit with 'ulimit -n'."
        case "handshake timeout": "It took longer than --timeout, to connect or to answer."
        default: nil
        }
    }
}
