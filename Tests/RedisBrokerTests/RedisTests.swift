import Testing

/// The tests with real servers, one after the other: some are about how long things take.
@Suite(.blocking, .serialized) enum RedisTests {}
