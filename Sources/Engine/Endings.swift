/// The last endings of a worker: its closes, and those who were refused. Neither crowds the other out.
struct Endings {
    private var closes: EndingLog
    private var refusals: EndingLog

    /// - Parameter capacity: how many are kept, half of them closes and half refusals; in the mean, none takes more than a
    ///   KiB.
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

    /// Those that are meant, in no particular order.
    func all(where isMeant: (Ending) -> Bool) -> [Ending] {
        closes.entries.filter(isMeant) + refusals.entries.filter(isMeant)
    }
}
