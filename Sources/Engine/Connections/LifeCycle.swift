/// The life of a connection: its phase, and every change of it.
///
/// ```
///            accepted            requested            opened
///     free ───────────▶ handshake ─────────▶ admitting ──────▶ open
///      ▲                    │                 │    ▲           │ │ │
///      │                    │                 │    └ requested │ │ └─ heldBack ─▶ fenced ──┐
///      │                    │ finished        │ finished       │ │                         │ finished
///      │                    │ (page, refusal) │ (the same)     │ └─── closeSent ▶ closing ─┤
///      │                    ▼                 ▼                ▼ finished                  │
///      │                 finishing ◀──────────┴────────────────┴───────────────────────────┘
///      │                    │ sentAll
///      │                    ▼
///      │                 lingering
///      │ freed
///      └───── dead ◀── ended ── from any phase but free and dead
/// ```
struct LifeCycle {
    enum Phase: UInt8, CaseIterable {
        /// The slot holds no connection.
        case free
        /// Waiting for the whole request head.
        case handshake
        /// The request is complete; other threads are checking whether it is admitted, or reading the answer.
        case admitting
        /// The WebSocket is open both ways.
        case open
        /// The end has begun, by the peer's close frame or its error, while the connection's own messages are still on
        /// their way through another worker; our close frame follows when they have come back.
        case fenced
        /// Our close frame is queued or sent; the peer's is awaited and its messages are dropped.
        case closing
        /// Nothing more is queued: once the queue is sent, our side is shut down.
        case finishing
        /// Our side is shut down; input is dropped until the peer shuts down its own.
        case lingering
        /// Closed in this turn; the slot is freed at the turn's end.
        case dead

        /// Whether frames are read: those of a connection that is being closed up to the peer's close frame.
        var readsFrames: Bool { self == .open || self == .closing }
        /// Whether there is a connection.
        var isLive: Bool { self != .free && self != .dead }
    }

    enum Event: UInt8, CaseIterable {
        /// A slot was allocated for an accepted connection.
        case accepted
        /// The request is complete, or a step of its admission.
        case requested
        /// The WebSocket is open.
        case opened
        /// The end has begun; our close frame waits for the connection's own messages.
        case heldBack
        /// Our close frame is queued; the peer's is awaited.
        case closeSent
        /// The last output is queued.
        case finished
        /// All output is sent and our side is shut down.
        case sentAll
        /// The socket is closed.
        case ended
        /// The slot is free again.
        case freed
    }

    private(set) var phase: Phase = .free

    /// The phase that follows; nil if the event can't happen in this phase.
    static func phase(after phase: Phase, _ event: Event) -> Phase? {
        switch (phase, event) {
        case (.free, .accepted): .handshake
        case (.handshake, .requested), (.admitting, .requested): .admitting
        case (.admitting, .opened): .open
        case (.open, .heldBack): .fenced
        case (.open, .closeSent): .closing
        case (.handshake, .finished), (.admitting, .finished), (.open, .finished), (.fenced, .finished),
            (.closing, .finished):
            .finishing
        case (.finishing, .sentAll): .lingering
        case (.dead, .freed): .free
        case (_, .ended) where phase.isLive: .dead
        default: nil
        }
    }

    /// Changes the phase. An event that can't happen in the present phase is an error of the program: it traps in a
    /// debug build and changes nothing otherwise.
    mutating func advance(_ event: Event) {
        guard let next = LifeCycle.phase(after: phase, event) else {
            assertionFailure("\(event) in phase \(phase)")
            return
        }
        phase = next
    }
}
