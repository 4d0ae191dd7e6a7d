import Testing

/// Tests of NATS, one after the other: each has servers of its own, and some have time limits.
@Suite(.blocking, .serialized) struct NATSTests {}
