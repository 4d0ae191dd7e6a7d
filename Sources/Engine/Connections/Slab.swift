import Base
import CLinux
import Glibc

/// The connections of one worker: consecutive records in one reservation of address space, and a dense array of their
/// deadlines, so that a sweep reads four bytes per connection.
///
/// Invariant: the slots `0 ..< highWater` have been used, the free ones among them are linked through `firstPiece`, and
/// pages above were never touched, so they cost nothing. Only the owning worker's thread touches the slab.
struct Slab: ~Copyable {
    /// A deadline that never comes.
    static let never = UInt32.max
    private static let end = UInt32.max

    let capacity: Int
    private let records: UnsafeMutablePointer<ConnectionRecord>
    let deadlines: UnsafeMutablePointer<UInt32>
    /// The TLS of those connections that have it, by slot: pages that are never touched without TLS.
    let secureLinks: UnsafeMutablePointer<Boxed<SecureLink>?>
    private(set) var highWater = 0
    private(set) var count = 0
    private var firstFree = Slab.end
    private let worker: Int
    /// The number in the id of the first connection of every slot: random for each process, so that an id from before a
    /// restart, or of another daemon, refers to no other connection.
    private let firstNumber = UInt64.random(in: 0..<ConnectionID.numberCount)
    /// The slots of the connections that an earlier process began elsewhere, by their ids.
    private var moved: [ConnectionID: UInt32] = [:]

    /// Reserves room for `capacity` connections; memory is used only as they come.
    init(worker: Int = 0, capacity: Int) {
        self.worker = worker
        self.capacity = capacity
        records = Slab.reserve(capacity)
        deadlines = Slab.reserve(capacity)
        secureLinks = Slab.reserve(capacity)
    }

    deinit {
        munmap(records, capacity * MemoryLayout<ConnectionRecord>.stride)
        munmap(deadlines, capacity * MemoryLayout<UInt32>.stride)
        munmap(secureLinks, capacity * MemoryLayout<Boxed<SecureLink>?>.stride)
    }

    private static func reserve<Record>(_ count: Int) -> UnsafeMutablePointer<Record> {
        let byteCount = count * MemoryLayout<Record>.stride
        guard let address = clinux_reserve(byteCount) else { fatalError("no address space for \(count) connections") }
        return address.bindMemory(to: Record.self, capacity: count)
    }

    /// The connection in a slot below `highWater`; its phase is `.free` if there is none.
    @inline(__always)
    subscript(slot: Int) -> Connection {
        assert(slot < highWater)
        return Connection(slot: slot, record: records + slot)
    }

    @inline(__always)
    private func find(slot: Int, generation: UInt32) -> Connection? {
        guard slot < highWater else { return nil }
        let connection = self[slot]
        return connection.id.generation == generation && connection.phase.isLive
            ? connection : nil
    }

    /// The connection with this id; nil if it is gone.
    func find(_ id: ConnectionID) -> Connection? {
        if id.worker == worker, let found = find(slot: id.slot, generation: id.generation), found.id == id {
            return found
        }
        guard !moved.isEmpty, let slot = moved[id] else { return nil }
        return find(slot: Int(slot), generation: id.generation)
    }

    /// The connection that a reference names; nil if it is gone.
    func find(_ reference: ConnectionReference) -> Connection? {
        find(slot: Int(reference.slot), generation: reference.generation)
    }

    /// The connection that a tag (`Connection.tag`) refers to; nil if it is gone.
    @inline(__always)
    func find(tag: UInt64) -> Connection? {
        find(slot: Int(tag & 0xFFFF_FFFF), generation: UInt32(truncatingIfNeeded: tag >> 32))
    }

    /// Whether a connection began in the slot that it has.
    private func isAtHome(_ id: ConnectionID, _ slot: Int) -> Bool { id.slot == slot && id.worker == worker }

    /// Allocates a slot for a connection; nil if none is free.
    ///
    /// - Parameter known: the id that the connection has from an earlier process; nil for a new one.
    mutating func allocate(_ link: Link, address: IPAddress, port: UInt16, id known: ConnectionID? = nil) -> Connection?
    {
        let slot: Int
        let number: UInt64
        if firstFree != Slab.end {
            slot = Int(firstFree)
            firstFree = self[slot].firstPiece
            // After a connection from elsewhere, this slot's own numbers begin, so that no id comes twice.
            let last = records[slot].id
            number = isAtHome(last, slot) ? last.number &+ 1 : firstNumber
        } else {
            guard highWater < capacity else { return nil }
            slot = highWater
            highWater += 1
            number = firstNumber
        }
        count += 1
        deadlines[slot] = Slab.never
        let id = known ?? ConnectionID(worker: worker, slot: slot, number: number)
        if !isAtHome(id, slot) { moved[id] = UInt32(slot) }
        (records + slot).initialize(
            to: ConnectionRecord(
                id: id, link: link, flags: [], closeCode: 1006,
                endpoint: 0, port: port,
                life: LifeCycle(), cause: .none, encoding: .unknown, dropped: 0, address: address,
                phaseState: nil, input: nil, backlog: nil,
                firstPiece: Connection.noPiece, lastPiece: Connection.noPiece, session: nil,
                channel: Connection.noChannel, channelPosition: 0, userAgent: 0,
                lastReceived: 0, connectedAt: 0,
                messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0,
                messageBucket: RateBucket(holding: 0, now: 0)
            )
        )
        self[slot].advance(.accepted)
        return self[slot]
    }

    /// Frees a slot. Its record must own nothing any more.
    mutating func release(_ connection: Connection) {
        assert(connection.phaseState == nil && connection.input == nil && connection.backlog == nil)
        assert(connection.session == nil && !connection.flags.contains(.secure))
        connection.advance(.freed)
        if !moved.isEmpty { moved[connection.id] = nil }
        connection.flags = []
        connection.firstPiece = firstFree
        deadlines[connection.slot] = Slab.never
        firstFree = UInt32(connection.slot)
        count -= 1
    }

    /// Passes the connections whose deadline is at or before `now` to `expired`, and returns the earliest deadline left.
    ///
    /// It compares sixteen deadlines per step: a million take half a millisecond.
    func sweep(now: UInt32, expired: (Connection) -> Void) -> UInt32 {
        var earliest = SIMD16<UInt32>(repeating: Slab.never)
        var slot = 0
        let limit = SIMD16<UInt32>(repeating: now)
        while slot &+ 16 <= highWater {
            let group = UnsafeRawPointer(deadlines + slot).loadUnaligned(as: SIMD16<UInt32>.self)
            if any(group .<= limit) {
                for each in slot..<(slot + 16) where deadlines[each] <= now { expired(self[each]) }
                earliest = pointwiseMin(
                    earliest, UnsafeRawPointer(deadlines + slot).loadUnaligned(as: SIMD16<UInt32>.self))
            } else {
                earliest = pointwiseMin(earliest, group)
            }
            slot &+= 16
        }
        var first = earliest.min()
        while slot < highWater {
            if deadlines[slot] <= now { expired(self[slot]) }
            first = min(first, deadlines[slot])
            slot &+= 1
        }
        return first
    }
}
