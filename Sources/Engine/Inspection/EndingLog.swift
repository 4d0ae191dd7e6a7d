import Base
import Operations

/// The last endings of a worker: closes and refusals. Neither displaces the other.
struct EndingLogs {
    private var closes: EndingLog
    private var refusals: EndingLog

    /// - Parameter capacity: the number of endings kept, half of them closes and half refusals, with an average of at
    ///   most 1 KiB each.
    init(capacity: Int) {
        closes = EndingLog(capacity: capacity / 2, byteCapacity: capacity / 2 * 1024)
        refusals = closes
    }

    mutating func append(_ ending: Event, _ cause: CloseCause) { closes.append(ending, cause: cause.rawValue) }

    mutating func append(_ ending: Event, _ cause: RefusalCause) { refusals.append(ending, cause: cause.rawValue) }

    /// The endings for which `isMeant` is true, in no particular order.
    func all(where isMeant: (Event) -> Bool) -> [Event] {
        closes.entries.filter(isMeant) + refusals.entries.filter(isMeant)
    }
}

/// The last endings of one kind: closes, or refusals.
///
/// The log is bounded, and those that fill it lose their own entries first. If there is no room for another ending, one
/// with the most frequent cause is removed, and if many of these are from the new ending's address, one from that
/// address. Of a flood, a series of endings less than a minute apart, the first and the last are kept, and the first
/// counts those in between. So a scan does not displace the endings of other clients.
struct EndingLog {
    /// The maximum number of endings, and their maximum size in bytes.
    private let capacity: Int
    private let byteCapacity: Int
    private(set) var byteCount = 0
    /// The places for endings; nil for a free one.
    private var nodes: ContiguousArray<Node?> = []
    private var free: ContiguousArray<Int> = []
    /// The chains by the raw value of the cause.
    private var causes: ContiguousArray<Chain> = []
    private var sources: [Source: Chain] = [:]

    /// The two orders that an ending is linked in: that of its cause, and that of its source.
    private enum Order { case cause, source }

    private struct Node {
        var ending: Event
        let source: Source
        private var inCause = Links()
        private var inSource = Links()

        init(_ ending: Event, _ source: Source) {
            self.ending = ending
            self.source = source
        }

        subscript(order: Order) -> Links {
            get { order == .cause ? inCause : inSource }
            set { if order == .cause { inCause = newValue } else { inSource = newValue } }
        }
    }

    private struct Links {
        var older: Int?
        var newer: Int?
    }

    /// EndingLogs in the order in which they came.
    private struct Chain {
        var oldest: Int?
        var newest: Int?
        var count = 0
    }

    /// The source of endings: an address with a cause. Of an IPv6 address only the first 64 bits count, the network of
    /// one customer.
    private struct Source: Hashable {
        let cause: UInt8
        let high: UInt64
        let low: UInt64

        init(_ ending: Event, cause: UInt8) {
            let address = ending.address ?? IPAddress.none
            self.cause = cause
            high = address.high
            low = address.high == 0 ? address.low : 0
        }
    }

    /// A source with more than one in this many of its cause's endings loses one of its own to make room.
    private static let shareOfSource = 8
    /// The number of endings, from the oldest, among which a flood is searched.
    private static let depth = 16

    init(capacity: Int, byteCapacity: Int) {
        self.capacity = capacity
        self.byteCapacity = byteCapacity
    }

    /// The number of endings kept.
    var count: Int { nodes.count - free.count }

    /// All endings kept, in no particular order.
    var entries: some Sequence<Event> { nodes.lazy.compactMap { $0?.ending } }

    /// - Parameter cause: the raw value of the ending's cause among those of its kind.
    mutating func append(_ ending: Event, cause: UInt8) {
        let source = Source(ending, cause: cause)
        insert(ending, source)
        while count > max(1, capacity) || (byteCount > byteCapacity && count > 1) {
            let before = count
            makeRoom(for: source)
            guard count < before else { return }
        }
    }

    private mutating func makeRoom(for source: Source) {
        guard let largest = causes.indices.max(by: { causes[$0].count < causes[$1].count }) else { return }
        if Int(source.cause) == largest, let own = sources[source], own.count > 2,
            own.count * Self.shareOfSource > causes[largest].count
        {
            shorten(own, .source)
        } else {
            shorten(causes[largest], .cause)
        }
    }

    /// Removes an ending from a chain: the second one of the oldest flood that has more than a first and a last, for
    /// which the first then stands; without such a flood, the oldest ending.
    private mutating func shorten(_ chain: Chain, _ order: Order) {
        guard let oldest = chain.oldest else { return }
        var first = oldest
        for _ in 0..<Self.depth {
            guard let second = newer(first, order), let third = newer(second, order) else { break }
            if isNear(first, second), isNear(second, third), let other = nodes[second]?.ending {
                nodes[first]?.ending.absorb(other)
                remove(second)
                return
            }
            first = second
        }
        remove(oldest)
    }

    private func newer(_ place: Int, _ order: Order) -> Int? { nodes[place]?[order].newer }

    private func isNear(_ place: Int, _ next: Int) -> Bool {
        guard let time = nodes[next]?.ending.time else { return false }
        return nodes[place]?.ending.isNear(time) ?? false
    }

    private mutating func insert(_ ending: Event, _ source: Source) {
        let place = free.popLast() ?? nodes.count
        if place == nodes.count { nodes.append(nil) }
        nodes[place] = Node(ending, source)
        byteCount += ending.byteCount
        let cause = Int(source.cause)
        while causes.count <= cause { causes.append(Chain()) }
        causes[cause] = linking(place, to: causes[cause], .cause)
        sources[source] = linking(place, to: sources[source] ?? Chain(), .source)
    }

    private mutating func remove(_ place: Int) {
        guard let node = nodes[place] else { return }
        byteCount -= node.ending.byteCount
        let cause = Int(node.source.cause)
        causes[cause] = unlinking(place, from: causes[cause], .cause)
        if let chain = sources[node.source] {
            sources[node.source] = chain.count > 1 ? unlinking(place, from: chain, .source) : nil
        }
        nodes[place] = nil
        free.append(place)
    }

    private mutating func linking(_ place: Int, to chain: Chain, _ order: Order) -> Chain {
        nodes[place]?[order] = Links(older: chain.newest, newer: nil)
        if let newest = chain.newest { nodes[newest]?[order].newer = place }
        return Chain(oldest: chain.oldest ?? place, newest: place, count: chain.count + 1)
    }

    private mutating func unlinking(_ place: Int, from chain: Chain, _ order: Order) -> Chain {
        guard let links = nodes[place]?[order] else { return chain }
        if let older = links.older { nodes[older]?[order].newer = links.newer }
        if let newer = links.newer { nodes[newer]?[order].older = links.older }
        return Chain(
            oldest: links.older == nil ? links.newer : chain.oldest,
            newest: links.newer == nil ? links.older : chain.newest, count: chain.count - 1)
    }
}
