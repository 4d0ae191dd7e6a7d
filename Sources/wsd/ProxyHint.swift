import Base
import Engine
import Logging
import Operations

/// Logs once that all clients come from one address that is probably a proxy missing in `server.trusted_proxies`:
/// limits per address then count all clients as one, and nothing shows where the clients are.
struct ProxyHint {
    let hub: Hub
    let reloader: Reloader
    let logger: Logger

    private static let interval: Duration = .seconds(5)
    /// More connections than one person's machine makes.
    private static let connectionCount = 100

    /// Checks periodically until it has logged the hint or is cancelled.
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

    /// The address that all connections come from; nil if there are several, or if the address may be a client's own.
    private func onlyAddress() async -> IPAddress? {
        let any = await hub.connections(ConnectionSelection(), after: nil, limit: 1).connections.first
        guard let address = any?.address, address.isLoopback || address.isPrivate else { return nil }
        let others = ConnectionSelection(exceptAddress: address)
        return await hub.connections(others, after: nil, limit: 1).connections.isEmpty ? address : nil
    }
}
