internal import Crypto
internal import Synchronization

/// The permissions of a key.
package enum Scope: Sendable {
    /// To read connections and channels.
    case read
    /// To send messages, but not to read.
    case publish
    /// Everything.
    case admin

    /// Whether this scope includes the one that a request needs.
    func covers(_ needed: Scope) -> Bool { self == needed || self == .admin }
}

/// The keys of the API, as digests, so that the time of a comparison reveals nothing about them.
package struct APIKeys: Sendable {
    private var digests: [(scope: Scope, digest: [UInt8])] = []

    package init() {}

    package var isEmpty: Bool { digests.isEmpty }

    package mutating func add(_ key: [UInt8], _ scope: Scope) {
        digests.append((scope, Array(SHA256.hash(data: key))))
    }

    /// The keys in a file: one per line, without surrounding blanks. Blank lines and lines that begin with `#` are
    /// ignored.
    package static func keys(in contents: [UInt8]) -> [[UInt8]] {
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = contents.starts(with: byteOrderMark) ? contents.dropFirst(byteOrderMark.count) : contents[...]
        return text.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.compactMap { line in
            let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
            var line = line.drop(while: isBlank)
            while let last = line.last, isBlank(last) { line.removeLast() }
            return line.isEmpty || line.first == UInt8(ascii: "#") ? nil : Array(line)
        }
    }

    /// The scopes of a key; empty if the key is unknown. Every key is compared, and each in full.
    func scopes(of key: [UInt8]) -> Set<Scope> {
        let digest = Array(SHA256.hash(data: key))
        var scopes: Set<Scope> = []
        for known in digests {
            var difference: UInt8 = 0
            for (one, other) in zip(known.digest, digest) { difference |= one ^ other }
            if difference == 0 { scopes.insert(known.scope) }
        }
        return scopes
    }
}

/// The keys in force.
package final class KeyRing: Sendable {
    private let keys: Mutex<APIKeys>

    package init(_ keys: APIKeys) { self.keys = Mutex(keys) }

    /// Replaces the keys from the next request on.
    package func replace(_ new: APIKeys) { keys.withLock { $0 = new } }

    var current: APIKeys { keys.withLock { $0 } }
}
