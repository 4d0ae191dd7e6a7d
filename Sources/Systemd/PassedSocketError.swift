/// The reason why a passed descriptor can't serve under its name.
package struct PassedSocketError: Error, Equatable, CustomStringConvertible {
    /// The kinds of problem.
    package enum Problem: Sendable, Equatable {
        /// Not an open descriptor of this process.
        case notOpen
        /// A datagram socket, a connection (`Accept=yes`), a file or a FIFO.
        case notListening
        /// A socket other than a Unix socket, although the file mode has to decide which users may connect.
        case notUnix(address: String)
    }

    /// The name from `FileDescriptorName=`.
    package let name: String
    /// The number of the descriptor.
    package let descriptor: Int32
    /// The problem.
    package let problem: Problem

    /// The problem and the way out, for the author of the socket unit.
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
