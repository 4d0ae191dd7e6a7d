import Base
import CLinux
import Glibc

/// Addresses as the socket calls have them.
extension IPAddress {
    private init(_ address: in6_addr) {
        self = withUnsafeBytes(of: address) {
            IPAddress(
                high: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    /// The address and port of a socket address; `none` and 0 for a Unix socket's.
    static func parse(_ storage: inout sockaddr_storage) -> (IPAddress, port: UInt16) {
        withUnsafeBytes(of: &storage) { bytes in
            switch Int32(bytes.load(as: sa_family_t.self)) {
            case AF_INET:
                let address = bytes.load(as: sockaddr_in.self)
                return (IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)), UInt16(bigEndian: address.sin_port))
            case AF_INET6:
                let address = bytes.load(as: sockaddr_in6.self)
                return (IPAddress(address.sin6_addr), UInt16(bigEndian: address.sin6_port))
            default:
                return (.none, 0)
            }
        }
    }

    /// The socket address of this address and a port.
    func socketAddress(port: UInt16) -> sockaddr_storage {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { bytes in
            if isIPv4 {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = port.bigEndian
                address.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
                bytes.storeBytes(of: address, as: sockaddr_in.self)
            } else {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = port.bigEndian
                withUnsafeMutableBytes(of: &address.sin6_addr) {
                    $0.storeBytes(of: high.bigEndian, as: UInt64.self)
                    $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
                }
                bytes.storeBytes(of: address, as: sockaddr_in6.self)
            }
        }
        return storage
    }
}
