/// The elements that a worker found in some of its places. It searches the others in later turns, so that nothing has
/// to wait for a pass over all of them.
struct Slice<Element: Sendable>: Sendable {
    var found: [Element]
    /// The place to continue from; nil after the last.
    var next: UInt32?
}
