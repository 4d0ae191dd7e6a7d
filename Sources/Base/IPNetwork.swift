/// An IP address or a network: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// As an ``IPAddress``, it is stored in its mapped form, so that a client on a dual-stack listener is found by either
/// spelling: `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
package struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    /// The first address; the bits beyond the prefix are zero.
    package let first: IPAddress
    /// The leading bits that all addresses share, as a mask.
    private let mask: IPAddress
    /// The number of leading bits that all addresses share, 0...128; that of an IPv4 network is 96 or more.
    private let prefixLength: Int

    private init(_ address: IPAddress, prefixLength: Int) {
        self.prefixLength = prefixLength
        mask = IPAddress(high: Self.mask(prefixLength), low: Self.mask(prefixLength - 64))
        first = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
    }

    /// The network of one address.
    package init(of address: IPAddress) { self.init(address, prefixLength: 128) }

    /// Parses an address or a network, and ignores bits that are set beyond the prefix; nil for anything else.
    package init?(_ text: String) {
        guard let network = try? Self.parse(text).network else { return nil }
        self = network
    }

    /// Parses an address or a network.
    ///
    /// - Throws: also if a bit beyond the prefix is set, because that is usually a mistake.
    package init(strictly text: String) throws(Malformed) {
        let (network, address, length) = try Self.parse(text)
        guard network.first == address else {
            let meant = text.contains(":") ? network.first.ipv6Text : network.first.description
            throw .bitsBeyondPrefix(meant: "\(meant)/\(length)")
        }
        self = network
    }

    /// The fault of a text that isn't a network.
    package enum Malformed: Error, Hashable {
        /// There is no address.
        case address
        /// The length of the prefix isn't a number from 0 to this one.
        case prefixLength(most: Int)
        /// Bits beyond the prefix are set; with the network that may be meant.
        case bitsBeyondPrefix(meant: String)
    }

    private static func parse(
        _ text: String
    ) throws(Malformed) -> (network: IPNetwork, address: IPAddress, length: Int) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(parts[0]) else { throw .address }
        let width = parts[0].utf8.contains(UInt8(ascii: ":")) ? 128 : 32
        var length = width
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(parts[1]), number <= width
            else { throw .prefixLength(most: width) }
            length = number
        }
        return (IPNetwork(address, prefixLength: length + 128 - width), address, length)
    }

    /// Whether an address is in this network. Cheap: a hub calls it for each connection.
    package func contains(_ address: IPAddress) -> Bool {
        address.high & mask.high == first.high && address.low & mask.low == first.low
    }

    /// Whether an address is in this network and of its family: who says `::/0` may have said nothing about IPv4.
    package func containsOfItsFamily(_ address: IPAddress) -> Bool {
        contains(address) && address.isIPv4 == isIPv4
    }

    private var isIPv4: Bool { prefixLength >= 96 && first.isIPv4 }

    /// The text that parses to this network, always with the length of the prefix.
    package var description: String { isIPv4 ? "\(first)/\(prefixLength - 96)" : "\(first.ipv6Text)/\(prefixLength)" }

    /// A mask of the leading `bitCount` bits of 64.
    private static func mask(_ bitCount: Int) -> UInt64 {
        bitCount <= 0 ? 0 : bitCount >= 64 ? .max : ~(UInt64.max >> UInt64(bitCount))
    }
}
