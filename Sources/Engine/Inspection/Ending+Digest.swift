import Base
import Channels
import Operations

extension Event {
    /// The properties by which two endings are alike to an operator.
    private struct Likeness: Hashable {
        let kind: Event.Kind
        let cause: String?
        let address: IPAddress?
        let user: Name?

        init(_ ending: Event) {
            kind = ending.kind
            cause = ending.cause
            address = ending.address
            user = ending.user.map { Name($0) }
        }
    }

    /// The newest of the endings, at most `limit`, the newest first.
    ///
    /// If there are more than `limit`, a flood of endings that are alike takes at most half of the places, unless there
    /// is nothing else: its newest endings, and its first, which stands for those in between. The first is sorted by
    /// the time of the last one that it stands for.
    static func digest(_ endings: [Event], limit: Int) -> [Event] {
        var told = endings
        if endings.count > limit {
            let floods = floods(endings.sorted { $0.time < $1.time })
            let places = places(floods.map(\.count), limit: limit)
            told = floods.flatMap { shortened($0, to: places) }
        }
        return Array(told.sorted { ($0.lastTime, $0.time) > ($1.lastTime, $1.time) }.prefix(limit))
    }

    /// Groups the endings by floods: endings of one flood are alike, and near to each other in time.
    private static func floods(_ endings: [Event]) -> [[Event]] {
        var floods: [[Event]] = []
        var last: [Likeness: Int] = [:]
        for ending in endings {
            let likeness = Likeness(ending)
            if let place = last[likeness], floods[place].last?.isNear(ending.time) ?? false {
                floods[place].append(ending)
            } else {
                last[likeness] = floods.count
                floods.append([ending])
            }
        }
        return floods
    }

    /// The maximum number of places for each flood: as many as there is room for, and at least half of all.
    private static func places(_ counts: [Int], limit: Int) -> Int {
        var least = max(2, limit / 2)
        var most = max(least, limit)
        while least < most {
            let middle = (least + most + 1) / 2
            let total = counts.reduce(0) { $0 + min($1, middle) }
            if total <= limit { least = middle } else { most = middle - 1 }
        }
        return least
    }

    /// The flood's first ending, which stands for those after it, and the newest ones.
    private static func shortened(_ flood: [Event], to places: Int) -> [Event] {
        guard flood.count > places, var first = flood.first else { return flood }
        let newest = flood.suffix(places - 1)
        for ending in flood.dropFirst().dropLast(newest.count) { first.absorb(ending) }
        return [first] + newest
    }
}
