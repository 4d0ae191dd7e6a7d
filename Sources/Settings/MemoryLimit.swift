/// A limit for memory: a number of bytes, or a share of the available memory.
package enum MemoryLimit: Sendable, Equatable {
    /// A number of bytes; 0 for no limit.
    case byteCount(Int)
    /// A percentage, 1...100.
    case share(percent: Int)

    /// The limit in bytes.
    ///
    /// - Parameter available: the available memory.
    /// - Returns: 0 for no limit.
    package func byteCount(of available: Int) -> Int {
        switch self {
        case .byteCount(let byteCount): byteCount
        // In this order nothing overflows; the rounding error is less than a hundred bytes.
        case .share(let percent): max(1, available / 100 * percent)
        }
    }
}
