/// Who sits at the other end of a Unix socket, as the kernel tells it (`SO_PEERCRED`, unix(7)).
///
/// It is what the peer was when it connected. It serves the audit log; what a peer may do is decided by which socket it
/// could open.
package struct PeerCredentials: Sendable, Hashable {
    /// The peer's process id.
    package let processID: Int32
    /// The peer's effective user id; 65534 where `PrivateUsers=` hides it.
    package let userID: UInt32
    /// The peer's effective group id.
    package let groupID: UInt32

    /// Credentials read from a socket, or made up by a test.
    package init(processID: Int32, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }
}
