/// A part of the list of connections.
package struct ConnectionPage: Codable, Sendable, Hashable {
    /// Connections, each at most once in a listing, however many come and go between its pages.
    package var connections: [ConnectionInfo]
    /// Where the list goes on; nil when this was the last of it. Opaque, and good for as long as the daemon lives, also
    /// when the connection it was taken from is gone.
    package var next: String?

    /// A page of a list.
    package init(connections: [ConnectionInfo], next: String?) {
        self.connections = connections
        self.next = next
    }
}
