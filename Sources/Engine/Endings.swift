/// The last endings of a worker: closes and refusals. Neither displaces the other.
struct Endings {
    private var closes: EndingLog
    private var refusals: EndingLog

    /// - Parameter capacity: the number of endings kept, half of them closes and half refusals, with an average of at
    ///   most 1 KiB each.
    init(capacity: Int) {
        closes = EndingLog(capacity: capacity / 2, byteCapacity: capacity / 2 * 1024)
        refusals = closes
    }

    mutating func append(_ ending: Ending) {
        switch ending.reason {
        case .closed: closes.append(ending)
        case .refused: refusals.append(ending)
        }
    }

    /// The endings for which `isMeant` is true, in no particular order.
    func all(where isMeant: (Ending) -> Bool) -> [Ending] {
        closes.entries.filter(isMeant) + refusals.entries.filter(isMeant)
    }
}
