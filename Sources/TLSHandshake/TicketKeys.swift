import COpenSSL
import Glibc
import Synchronization

/// The keys of session tickets. All workers use them, and they outlive a change of certificates: a ticket is good at any
/// worker, before a reload and after it.
///
/// A key seals tickets for half a day and opens them for another half.
package final class TicketKeys: Sendable {
    struct Key: Sendable {
        /// 16 bytes that name the key in a ticket, 32 for the cipher and 32 for the HMAC.
        var bytes: [UInt8]
        /// The time at which it was made, in seconds of the monotonic clock.
        var madeAt: Int

        var name: ArraySlice<UInt8> { bytes[..<16] }
        var cipherKey: [UInt8] { Array(bytes[16..<48]) }
        var macKey: [UInt8] { Array(bytes[48...]) }
    }

    static let byteCount = 80
    private static let lifetime = 12 * 3600
    /// The newest first.
    private let keys = Mutex<[Key]>([])

    package init() {}

    /// The key that seals new tickets; nil if the system has no random bytes.
    func sealing() -> Key? { sealing(at: Self.now) }

    func sealing(at now: Int) -> Key? {
        keys.withLock { keys in
            keys.removeAll { now - $0.madeAt >= 2 * Self.lifetime }
            if let newest = keys.first, now - newest.madeAt < Self.lifetime { return newest }
            var bytes = [UInt8](repeating: 0, count: Self.byteCount)
            guard RAND_bytes(&bytes, Int32(bytes.count)) == 1 else { return nil }
            keys.insert(Key(bytes: bytes, madeAt: now), at: 0)
            return keys.first
        }
    }

    /// The key with a name, and whether it is the one that seals; nil if there is none.
    func key(named name: UnsafeRawBufferPointer) -> (Key, isNewest: Bool)? { key(named: name, at: Self.now) }

    func key(named name: UnsafeRawBufferPointer, at now: Int) -> (Key, isNewest: Bool)? {
        keys.withLock { keys in
            guard let index = keys.firstIndex(where: { $0.name.elementsEqual(name) }),
                now - keys[index].madeAt < 2 * Self.lifetime
            else { return nil }
            return (keys[index], index == 0 && now - keys[index].madeAt < Self.lifetime)
        }
    }

    /// The keys for another process of this machine, which adopts them: tickets of this one are good there.
    package var parked: [(bytes: [UInt8], madeAt: Int)] { keys.withLock { $0.map { ($0.bytes, $0.madeAt) } } }

    /// Takes over the keys of an earlier process, the newest first; what can't be keys is left out.
    package func adopt(_ parked: [(bytes: [UInt8], madeAt: Int)]) {
        let known = parked.filter { $0.bytes.count == Self.byteCount && $0.madeAt <= Self.now }
        keys.withLock { $0 = known.map { Key(bytes: $0.bytes, madeAt: $0.madeAt) } }
    }

    /// The maximum number of keys at a time, with some to spare.
    package static let maximumCount = 8

    private static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    /// OpenSSL's callback: sets the ciphers that seal or open a ticket. Returns 1 for yes, 2 for a ticket that is to be
    /// replaced, 0 for a ticket of no known key, and -1 for an error.
    func use(
        _ name: UnsafeMutableRawPointer, _ iv: UnsafeMutablePointer<UInt8>, _ cipher: OpaquePointer,
        _ mac: OpaquePointer, seals: Bool
    ) -> Int32 {
        let key: Key
        var answer: Int32 = 1
        if seals {
            guard let newest = sealing(), RAND_bytes(iv, 16) == 1 else { return -1 }
            key = newest
            UnsafeMutableRawBufferPointer(start: name, count: 16).copyBytes(from: key.name)
        } else {
            guard let (found, isNewest) = self.key(named: UnsafeRawBufferPointer(start: name, count: 16)) else {
                return 0
            }
            key = found
            answer = isNewest ? 1 : 2
        }
        var macKey = key.macKey
        guard EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipherKey, iv, seals ? 1 : 0) == 1,
            copenssl_set_ticket_mac(mac, &macKey, macKey.count) == 1
        else { return -1 }
        return answer
    }
}
