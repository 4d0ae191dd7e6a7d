import Glibc

/// The resources used by a process and its descendants (proc(5)).
struct ProcessUsage: Equatable, Sendable {
    /// CPU time so far, user and system.
    var cpuSeconds: Double
    /// Resident memory now, VmRSS.
    var residentBytes: Int

    /// The usage of a process with all its descendants; nil if there is no such process.
    static func ofTree(_ pid: Int32) -> ProcessUsage? {
        guard var usage = of(pid) else { return nil }
        for child in children(of: pid) {
            guard let more = ofTree(child) else { continue }
            usage.cpuSeconds += more.cpuSeconds
            usage.residentBytes += more.residentBytes
        }
        return usage
    }

    private static func of(_ pid: Int32) -> ProcessUsage? {
        guard let stat = read("/proc/\(pid)/stat") else { return nil }
        return parse(
            stat: stat, ticksPerSecond: sysconf(Int32(_SC_CLK_TCK)), pageByteCount: sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Parses /proc/PID/stat: fields 14 and 15 are the CPU time, 24 the resident pages. The name, field 2, is in
    /// parentheses and may contain blanks and parentheses of its own.
    static func parse(stat: String, ticksPerSecond: Int, pageByteCount: Int) -> ProcessUsage? {
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[nameEnd...].split(separator: " ")
        guard fields.count > 22, let user = Int(fields[12]), let system = Int(fields[13]), let pages = Int(fields[22])
        else { return nil }
        return ProcessUsage(
            cpuSeconds: Double(user + system) / Double(ticksPerSecond), residentBytes: pages * pageByteCount)
    }

    /// The children of all threads of the process, each of which may have started some.
    private static func children(of pid: Int32) -> [Int32] {
        guard let directory = opendir("/proc/\(pid)/task") else { return [] }
        defer { closedir(directory) }
        var children: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard Int32(name) != nil, let text = read("/proc/\(pid)/task/\(name)/children") else { continue }
            children += text.split(separator: " ").compactMap { Int32($0) }
        }
        return children
    }

    /// The text of a short file; nil if it can't be read.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            guard count > 0 else { return count == 0 ? String(decoding: text, as: UTF8.self) : nil }
            text += piece[..<count]
        }
    }
}

/// Resident bytes of the server during the run; nil if they weren't sampled.
struct Memory: Sendable {
    var before: Int?
    var open: Int?
    var peak: Int?
    /// After the published messages have been received.
    var after: Int?
    /// After the pause for memory to be released.
    var returned: Int?
    var closed: Int?

    /// The memory added by each open connection.
    func perConnection(_ bytes: Int?, count: Int) -> Double? {
        guard let before, let bytes, count > 0 else { return nil }
        return Double(bytes - before) / Double(count)
    }
}

/// The delay with which the kernel may wake a sleeping thread (prctl(2), PR_SET_TIMERSLACK): 50 µs, which a schedule
/// would notice.
enum TimerSlack {
    /// Sets the minimum for threads that are started from now on.
    static func minimize() {
        let descriptor = open("/proc/self/timerslack_ns", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "1", 1)
        close(descriptor)
    }
}

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
