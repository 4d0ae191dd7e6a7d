import Engine
import Logging

/// Says once that all clients come from one address that is a proxy's, most likely, which nobody has named: limits for each
/// address then count all clients as one, and nothing knows where they are.
struct ProxyHint {
    let hub: Hub
    let reloader: Reloader
    let logger: Logger

    private static let interval: Duration = .seconds(5)
    /// So many don't come from one person's machine.
    private static let connectionCount = 100

    /// Looks now and then until it has said so, or is cancelled.
    func run() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.interval) } catch { return }
            guard hub.connectionCount > Self.connectionCount, await reloader.trustsNoProxy,
                let address = await onlyAddress()
            else { continue }
            logger.notice("all clients come from \(address): if that is a proxy, name it in server.trusted_proxies")
            return
        }
    }

    /// The address that every connection comes from; nil where there are two, or where it may be that of clients.
    private func onlyAddress() async -> IPAddress? {
        let any = await hub.connections(ConnectionSelection(), after: nil, limit: 1).connections.first
        guard let address = any?.address, address.isLoopback || address.isPrivate else { return nil }
        var others = ConnectionSelection()
        others.matchesAddress = { $0 != address }
        return await hub.connections(others, after: nil, limit: 1).connections.isEmpty ? address : nil
    }
}
