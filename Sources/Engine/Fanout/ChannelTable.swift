import Base
import Channels
import Settings

/// The channels that one worker knows, by name and by a dense index that connection records hold.
struct ChannelTable {
    private var byName: [Name: UInt32] = [:]
    private var channels: ContiguousArray<Channel?> = []
    private var free: [UInt32] = []
    private let worker: Int
    private let workerCount: Int
    private let account: MemoryAccount
    /// Whether a broker shares the channels between nodes.
    private let isShared: Bool
    /// The channels that were subscribed at the broker and are not needed any more.
    var abandoned: [String] = []
    /// The cost of the histories of the channels whose home is here.
    let historyCost: HistoryCost
    var rules: ChannelRules
    /// The generation of the configuration that the rules are from.
    var generation: UInt32

    init(
        worker: Int, workerCount: Int, rules: ChannelRules, generation: UInt32, isShared: Bool = false,
        account: MemoryAccount
    ) {
        self.isShared = isShared
        self.worker = worker
        self.workerCount = workerCount
        self.account = account
        historyCost = HistoryCost(account.history)
        self.rules = rules
        self.generation = generation
    }

    /// The channel at an index that a subscribed connection's record holds.
    @inline(__always)
    subscript(index: UInt32) -> Channel { channels[Int(index)]! }

    func index(of name: String) -> UInt32? { byName[Name(name)] }

    /// The channel at an index that may be stale.
    func find(_ index: UInt32) -> Channel? { Int(index) < channels.count ? channels[Int(index)] : nil }

    /// The number of channels whose home is here. Each channel has one home, so the sum over all workers counts it
    /// once.
    private(set) var homeCount = 0

    /// Every index that may hold a channel.
    var indices: Range<UInt32> { 0..<UInt32(channels.count) }

    /// The settings of a channel that this worker may not know.
    func settings(for name: String) -> ChannelSettings {
        index(of: name).map { self[$0].settings } ?? rules.settings(for: name)
    }

    /// The index of the channel with this name; creates the channel if this worker doesn't know it yet.
    mutating func intern(_ name: String) -> UInt32 {
        if let known = index(of: name) { return known }
        let settings = rules.settings(for: name)
        let homeWorker = Self.home(of: name, workerCount: workerCount)
        var home: ChannelHome?
        if homeWorker == worker {
            homeCount += 1
            home = ChannelHome(
                name: name, settings: settings, isShared: isShared, frames: account.frames, history: historyCost)
        }
        account.history.add(Channel.overhead + 2 * name.utf8.count)
        let index = free.popLast() ?? UInt32(channels.count)
        let channel = Channel(
            name: name, index: index, homeWorker: homeWorker, home: home, settings: settings, knownSince: generation)
        if Int(index) < channels.count {
            channels[Int(index)] = channel
        } else {
            channels.append(channel)
        }
        byName[Name(name)] = index
        return index
    }

    /// Forgets a channel that nobody here subscribes to or asks for.
    mutating func removeIfUnused(_ index: UInt32) {
        guard let channel = channels[Int(index)], channel.isUnused else { return }
        byName[Name(channel.name)] = nil
        if let shared = channel.home?.shared, shared.phase != .idle { abandoned.append(channel.name) }
        if channel.homeWorker == worker { homeCount -= 1 }
        account.history.add(-(Channel.overhead + 2 * channel.name.utf8.count))
        channels[Int(index)] = nil
        free.append(index)
    }

    /// The home of a channel, by FNV-1a: every worker, and the next process too, computes the same home.
    static func home(of name: String, workerCount: Int) -> Int {
        Int(name.fnv1a % UInt64(workerCount))
    }
}
