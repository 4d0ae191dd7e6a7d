package import Operations

/// A part of the list of connections.
package struct ConnectionPage: Codable, Sendable, Hashable {
    /// The connections. No connection appears twice in a listing, however many open and close between its pages.
    package var connections: [ConnectionRow]
    /// The position to continue from; nil after the last page. It is opaque, and valid as long as the daemon lives,
    /// even after the connection that it was made from has closed.
    package var next: String?
    /// The names of the nodes whose connections are missing in this page, because they did not answer; nil if no other
    /// node was asked.
    package var silent: [String]?

    /// A page of a list.
    package init(connections: [ConnectionRow], next: String?, silent: [String]? = nil) {
        self.connections = connections
        self.next = next
        self.silent = silent
    }
}
