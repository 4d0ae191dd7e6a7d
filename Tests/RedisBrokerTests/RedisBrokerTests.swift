import Broker
import Logging
import NIOCore
import NIOPosix
import RedisBroker
import Testing

@Test func trivial() {}
