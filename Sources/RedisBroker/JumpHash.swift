import Base

/// The choice of one of several servers for a channel, which every node makes alike. When a server is added at the end of
/// the list, 1/n of the channels move to it, and no others.
enum JumpHash {
    /// The place, from 0, of the server among `count` that a channel is kept on.
    static func place(of channel: String, among count: Int) -> Int {
        guard count > 1 else { return 0 }
        return place(of: mixed(channel.fnv1a), among: count)
    }

    /// The consistent hash of Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014).
    static func place(of key: UInt64, among count: Int) -> Int {
        var key = key
        var place = 0
        var next = 0
        while next < count {
            place = next
            key = key &* 2_862_933_555_777_941_757 &+ 1
            next = Int(Double(place + 1) * (Double(1 << 31) / Double((key >> 33) + 1)))
        }
        return place
    }

    /// Mixes the bits, as the high ones of FNV-1a hardly differ for short names (the last step of MurmurHash3).
    private static func mixed(_ hash: UInt64) -> UInt64 {
        var hash = hash
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ (hash >> 33)
    }
}
