/// Everything that the daemon can be told, as one plain value.
///
/// A fresh one holds the built-in defaults; `ConfigurationLoader` lays the files and the command line over them. Each
/// property is one key of wsd.toml(5), and `Schema` says how the key is written.
package struct Configuration: Sendable, Equatable {
    /// The listeners, and who may connect.
    package var server = Server()
    /// The protocol with one client.
    package var websocket = WebSocket()
    /// What waits for one slow connection.
    package var queue = Queue()
    /// What one connection may do.
    package var limits = Limits()
    /// How the daemon goes away.
    package var drain = Drain()
    /// The paths that clients connect to; never empty, no path twice.
    package var endpoints = [Endpoint(path: "/ws"), Endpoint(path: "/chat", protocol: .json)]
    /// What holds for channels, by pattern: the first that matches. No pattern twice.
    package var channels: [Channel] = []
    /// Who the clients are.
    package var auth = Auth()
    /// The sockets that wsctl(1) talks to.
    package var control = Control()
    /// The HTTP API.
    package var api = API()
    /// What carries messages between nodes.
    package var broker = Broker()
    /// The log.
    package var log = Log()

    /// The built-in defaults.
    package init() {}
}
