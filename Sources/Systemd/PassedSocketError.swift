/// Why a passed descriptor can't serve under its name.
package struct PassedSocketError: Error, Equatable, CustomStringConvertible {
    /// What is wrong with it.
    package enum Problem: Sendable, Equatable {
        /// Not a descriptor of this process at all.
        case notOpen
        /// A datagram socket, a connection (`Accept=yes`), a file or a FIFO.
        case notListening
        /// Something else than a Unix socket where the file mode decides who may connect.
        case notUnix(address: String)
    }

    /// The name from `FileDescriptorName=`.
    package let name: String
    /// The number of the descriptor.
    package let descriptor: Int32
    /// What is wrong with it.
    package let problem: Problem

    /// The problem and the way out, for the person who wrote the socket unit.
    package var description: String {
        let what = "socket \"\(LogText.escaped(name))\" (descriptor \(descriptor)) passed by the service manager"
        switch problem {
        case .notOpen:
            return "\(what) is not open"
        case .notListening:
            return "\(what) is not a listening stream socket: use ListenStream= and Accept=no in the socket unit"
        case .notUnix(let address):
            return "\(what) listens on \(address), but must be a Unix socket: its file mode decides who may connect"
        }
    }
}
