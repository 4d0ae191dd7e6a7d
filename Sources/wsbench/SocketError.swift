import Glibc

/// What a socket call failed with.
struct SocketError: Error {
    /// The errno.
    var number: CInt

    /// Its name where it is one that a load generator meets, else its text.
    var name: String { Self.name(number) }

    /// As `name`.
    static func name(_ number: CInt) -> String {
        switch number {
        case ECONNREFUSED: "ECONNREFUSED"
        case ECONNRESET: "ECONNRESET"
        case ETIMEDOUT: "ETIMEDOUT"
        case EADDRNOTAVAIL: "EADDRNOTAVAIL"
        case EMFILE: "EMFILE"
        case ENFILE: "ENFILE"
        case EHOSTUNREACH: "EHOSTUNREACH"
        case ENETUNREACH: "ENETUNREACH"
        case EPIPE: "EPIPE"
        case ENOBUFS: "ENOBUFS"
        case ENOMEM: "ENOMEM"
        default: String(cString: strerror(number))
        }
    }
}
