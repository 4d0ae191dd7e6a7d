/// What a worker found in some of its places; the others are looked at in later turns, so that nobody waits for a walk over
/// all of them.
struct Slice<Element: Sendable>: Sendable {
    var found: [Element]
    /// The place to go on from; nil after the last.
    var next: UInt32?
}
