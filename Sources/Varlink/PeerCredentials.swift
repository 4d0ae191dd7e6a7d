/// The identity of the peer of a Unix socket, from the kernel (`SO_PEERCRED`, unix(7)).
///
/// It is that of the moment when the peer connected. It is for the audit log; the socket that a peer could open decides
/// what the peer may do.
package struct PeerCredentials: Sendable, Hashable {
    /// The peer's process id.
    package let processID: Int32
    /// The peer's effective user id; 65534 if `PrivateUsers=` hides it.
    package let userID: UInt32
    /// The peer's effective group id.
    package let groupID: UInt32

    /// Credentials from a socket, or made up for a test.
    package init(processID: Int32, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }
}
