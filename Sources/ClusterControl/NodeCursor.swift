internal import Base
internal import Control

/// A position in the list of connections of all nodes: `NODE/CURSOR`, where the cursor is the node's own, or empty for
/// the beginning. The nodes follow each other in the order of their ids, so that a list goes on where it was after a node
/// has gone.
struct NodeCursor: Hashable, CustomStringConvertible {
    var node: NodeID
    /// The position in the node's own list; nil for its beginning.
    var after: String?

    init(node: NodeID, after: String?) {
        self.node = node
        self.after = after
    }

    init(_ text: String) throws(ControlError) {
        guard let slash = text.firstIndex(of: "/"), let node = NodeID(text[..<slash]) else {
            throw .invalidParameter("after")
        }
        self.node = node
        let rest = text[text.index(after: slash)...]
        after = rest.isEmpty ? nil : String(rest)
    }

    var description: String { "\(node)/\(after ?? "")" }
}
