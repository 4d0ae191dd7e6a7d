import COpenSSL
import Glibc
import Synchronization

/// The keys of session tickets. All workers use them, and they outlive a change of certificates: a ticket is good at any
/// worker, before a reload and after it.
///
/// A key seals tickets for half a day and opens them for another half.
package final class TicketKeys: Sendable {
    /// A key, which is in memory once; its end overwrites it.
    ///
    /// `@unchecked Sendable` because its bytes are not changed before that.
    package final class Key: @unchecked Sendable {
        /// 16 bytes that name the key in a ticket, 32 for the cipher and 32 for the HMAC.
        let bytes: UnsafeMutableRawBufferPointer
        /// The time at which it was made, in seconds of the monotonic clock.
        package let madeAt: Int
        /// The bytes, for the next process; valid as long as the key.
        package var secret: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }

        /// A key without any value yet.
        init(madeAt: Int) {
            bytes = .allocate(byteCount: TicketKeys.byteCount, alignment: 1)
            self.madeAt = madeAt
        }

        /// The key of an earlier process; nil if it can't be one.
        package convenience init?(_ secret: UnsafeRawBufferPointer, madeAt: Int) {
            guard secret.count == TicketKeys.byteCount else { return nil }
            self.init(madeAt: madeAt)
            bytes.copyBytes(from: secret)
        }

        deinit {
            OPENSSL_cleanse(bytes.baseAddress, bytes.count)
            bytes.deallocate()
        }

        var name: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<16]) }
        var cipherKey: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[16..<48]) }
        var macKey: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: bytes[48...]) }
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
            Self.forget(&keys, expiredAt: now)
            if let newest = keys.first, now - newest.madeAt < Self.lifetime { return newest }
            let key = Key(madeAt: now)
            let start = key.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            guard RAND_bytes(start, Int32(Self.byteCount)) == 1 else { return nil }
            keys.insert(key, at: 0)
            return key
        }
    }

    private static func forget(_ keys: inout [Key], expiredAt now: Int) {
        keys.removeAll { now - $0.madeAt >= 2 * lifetime }
    }

    /// The key with a name, and whether it is the one that seals; nil if there is none.
    func key(named name: UnsafeRawBufferPointer) -> (Key, isNewest: Bool)? { key(named: name, at: Self.now) }

    func key(named name: UnsafeRawBufferPointer, at now: Int) -> (Key, isNewest: Bool)? {
        keys.withLock { keys in
            Self.forget(&keys, expiredAt: now)
            guard let index = keys.firstIndex(where: { $0.name.elementsEqual(name) }) else { return nil }
            return (keys[index], index == 0 && now - keys[index].madeAt < Self.lifetime)
        }
    }

    /// The keys for another process of this machine, which adopts them: tickets of this one are good there.
    package var parked: [Key] { keys.withLock { $0 } }

    /// Takes over the keys of an earlier process, the newest first; those of a time that is not yet are left out.
    package func adopt(_ parked: [Key]) {
        let known = parked.filter { $0.madeAt <= Self.now }
        keys.withLock { $0 = known }
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
        let cipherKey = key.cipherKey.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let macKey = key.macKey.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return withExtendedLifetime(key) {
            guard EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nil, cipherKey, iv, seals ? 1 : 0) == 1,
                copenssl_set_ticket_mac(mac, macKey, key.macKey.count) == 1
            else { return -1 }
            return answer
        }
    }
}
