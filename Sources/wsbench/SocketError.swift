import Glibc

/// The error of a socket call.
struct SocketError: Error {
    /// The errno.
    var number: CInt

    /// Its name if it is one that a load generator encounters, otherwise its text.
    var name: String { Self.name(number) }

    /// The name or text of an errno.
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
