/// A channel's next messages in every encoding that its subscribers use.
struct Publication: Sendable {
    let plain: Segment
    /// By encoding; an encoding that is missing here takes the plain frames, which every client understands.
    private var deflated: [Segment?] = []

    init(_ plain: Segment) { self.plain = plain }

    /// Whether every subscriber gets the same bytes.
    var isPlain: Bool { deflated.isEmpty }

    subscript(encoding: Encoding) -> Segment {
        get { deflated.isEmpty ? plain : deflated[Int(encoding.rawValue)] ?? plain }
        set {
            if deflated.isEmpty { deflated = Array(repeating: nil, count: Encoding.count) }
            deflated[Int(encoding.rawValue)] = newValue
        }
    }
}
