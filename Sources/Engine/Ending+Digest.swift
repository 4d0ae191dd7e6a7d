import Rooms

extension Ending {
    /// What makes two endings alike for who reads of them.
    private struct Likeness: Hashable {
        let isClose: Bool
        let cause: UInt8
        let address: IPAddress
        let user: Name?

        init(_ ending: Ending) {
            if case .closed = ending.reason { isClose = true } else { isClose = false }
            cause = ending.reason.causeValue
            address = ending.address
            user = ending.user.map { Name($0) }
        }
    }

    /// The newest of some endings, at most `limit` of them, the newest first.
    ///
    /// Where there are more, a flood of those that are alike takes half of the places at most, unless there is nothing else:
    /// its newest ones and its first, which stands for those in between. It comes where the last of these would.
    static func digest(_ endings: [Ending], limit: Int) -> [Ending] {
        var told = endings
        if endings.count > limit {
            let floods = floods(endings.sorted { $0.time < $1.time })
            let places = places(floods.map(\.count), limit: limit)
            told = floods.flatMap { shortened($0, to: places) }
        }
        return Array(told.sorted { ($0.lastTime, $0.time) > ($1.lastTime, $1.time) }.prefix(limit))
    }

    /// The same endings by floods: alike, and near to each other.
    private static func floods(_ endings: [Ending]) -> [[Ending]] {
        var floods: [[Ending]] = []
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

    /// How many places each flood may have at most: as many as there is room for, but half of all in any case.
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

    /// The first, for those behind it, and the newest.
    private static func shortened(_ flood: [Ending], to places: Int) -> [Ending] {
        guard flood.count > places, var first = flood.first else { return flood }
        let newest = flood.suffix(places - 1)
        for ending in flood.dropFirst().dropLast(newest.count) { first.absorb(ending) }
        return [first] + newest
    }
}
