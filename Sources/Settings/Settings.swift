/// All settings of the daemon, as one plain value.
///
/// A new value has the built-in defaults; the target Configuration applies the files and the command line to it. Each
/// property is one key of wsd.toml(5), and `Schema` there says how the key is written.
package struct Settings: Sendable, Equatable {
    /// The listeners, and the clients that may connect.
    package var server = Server()
    /// The certificates of this server.
    package var tls = TLS()
    /// The WebSocket protocol of each connection.
    package var websocket = WebSocket()
    /// The queue of each slow connection.
    package var queue = Queue()
    /// The limits for each connection, and for the memory of all of them.
    package var limits = Limits()
    /// The graceful stop of the daemon.
    package var drain = Drain()
    /// What the next process begins with.
    package var restart = Restart()
    /// The paths that clients connect to; never empty, and without duplicate paths.
    package var endpoints = [Endpoint(path: "/ws"), Endpoint(path: "/chat", protocol: .json)]
    /// The settings of channels by pattern; the first pattern that matches is used. No pattern appears twice.
    package var channels: [Channel] = []
    /// The authentication of clients.
    package var auth = Auth()
    /// The sockets for wsctl(1).
    package var control = Control()
    /// The HTTP API.
    package var api = API()
    /// The broker that carries messages between nodes.
    package var broker = Broker()
    /// The sources outside whose records are published.
    package var consumers: [Consume] = []
    /// The log.
    package var log = Log()

    /// The built-in defaults.
    package init() {}
}
