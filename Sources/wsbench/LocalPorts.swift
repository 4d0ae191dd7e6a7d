/// The ports that this machine uses for outgoing connections (ip(7), ip_local_port_range).
enum LocalPorts {
    /// The number of ports.
    static var count: Int {
        let text = ProcessUsage.read("/proc/sys/net/ipv4/ip_local_port_range") ?? ""
        let bounds = text.split { $0 == "\t" || $0 == " " || $0 == "\n" }.compactMap { Int($0) }
        return bounds.count == 2 && bounds[1] >= bounds[0] ? bounds[1] - bounds[0] + 1 : 28_232
    }

    /// The number of source addresses that the connections need, each of which has `portCount` ports for each target.
    /// One tenth is left for other traffic and for ports still in TIME_WAIT.
    static func sourceCount(connections: Int, targets: Int, portCount: Int) -> Int {
        let usable = max(1, portCount * 9 / 10 * max(1, targets))
        return max(1, (connections + usable - 1) / usable)
    }
}
