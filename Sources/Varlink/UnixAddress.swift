package import Glibc

/// The address of a Unix socket in the kernel's form (unix(7)).
package struct UnixAddress: Sendable {
    /// The maximum length of a socket's path in bytes: one less than the field, for the NUL.
    package static let maxPathByteCount = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    private let address: sockaddr_un

    /// The address for a path; nil if it is empty, contains a NUL, or is longer than ``maxPathByteCount``.
    package init?(path: String) {
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.maxPathByteCount, !bytes.contains(0) else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        self.address = address
    }

    /// Calls `body` with the address, for `bind` and `connect`.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
