import NIOCore

/// Knows from Sentinels where a master is, and learns at once when that changes.
final class SentinelWatch {
    private static let switched = "+switch-master"

    private let sentinel: RedisBroker.Sentinel
    private var lookout: RedisLookout!
    /// Who waits to be told where the master is.
    private var waiting: [(RedisLink.Place) -> Void] = []
    private var master: RedisAddress?
    /// Called when the master is another one.
    private let moved: (RedisAddress) -> Void

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ sentinel: RedisBroker.Sentinel,
        moved: @escaping (RedisAddress) -> Void
    ) {
        self.sentinel = sentinel
        self.moved = moved
        lookout = RedisLookout(
            loop, options, .sentinel, sentinel.addresses,
            question: ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", .text(sentinel.masterName)],
            channels: [Self.switched],
            RedisLookout.Events(
                answered: { [weak self] value, _ in self?.answered(value) },
                pushed: { [weak self] in self?.pushed($0) }, failed: { [weak self] in self?.failed($0) }))
    }

    func start() { lookout.start() }

    func stop() { lookout.stop() }

    /// Finds out where the master is.
    func locate(_ body: @escaping (RedisLink.Place) -> Void) {
        waiting.append(body)
        lookout.ask()
    }

    /// Notes that the server at an address is no master, though a Sentinel said so: another one may know better.
    func doubt(_ address: RedisAddress) {
        if address == master { lookout.turn() }
    }

    private func answered(_ value: RESPValue) -> String? {
        guard value != .null else { return "does not know a master called \"\(sentinel.masterName)\"" }
        guard let parts = value.elements, parts.count == 2, let host = parts[0].text,
            let port = parts[1].number.flatMap({ UInt16(exactly: $0) }), port > 0
        else { return "gave an answer that is no address" }
        note(.tcp(host: host, port: Int(port)))
        return nil
    }

    /// Takes `<name> <old host> <old port> <new host> <new port>`.
    private func pushed(_ elements: [RESPValue]) {
        guard elements.count == 3, elements[0].text == "message", elements[1].text == Self.switched,
            let words = elements[2].text?.split(separator: " "), words.count == 5, words[0] == sentinel.masterName,
            let port = UInt16(words[4]), port > 0
        else { return }
        note(.tcp(host: String(words[3]), port: Int(port)))
    }

    private func note(_ address: RedisAddress) {
        let isNew = master != nil && master != address
        master = address
        let served = waiting
        waiting = []
        if isNew { moved(address) }
        for body in served { body(.at(RedisEndpoint(address: address))) }
    }

    private func failed(_ reasons: String) {
        let served = waiting
        waiting = []
        let name = sentinel.masterName
        for body in served { body(.unknown("no Sentinel says where the master \"\(name)\" is: \(reasons)")) }
    }
}
