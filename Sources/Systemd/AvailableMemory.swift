internal import Glibc

/// The memory available to this process: that of the machine, or less if its control groups are limited.
package enum AvailableMemory {
    /// The available bytes; limits that can't be determined are ignored.
    package static func byteCount() -> Int { byteCount(machine: machineByteCount, root: "") }

    /// - Parameters:
    ///   - machine: the memory of the machine.
    ///   - root: the directory that contains /proc and /sys, for tests.
    static func byteCount(machine: Int, root: String) -> Int {
        var least = machine
        // Only version 2 has a single tree for everything, with the number 0: cgroups(7).
        guard let groups = text(of: root + "/proc/self/cgroup"),
            let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return least }
        // Each group limits the groups in it. A path outside of what is mounted here is ignored.
        var names = line.dropFirst(4).split(separator: "/")
        if names.contains("..") { names = [] }
        while true {
            let directory = ([root + "/sys/fs/cgroup"] + names.map(String.init)).joined(separator: "/")
            for file in ["memory.max", "memory.high"] {
                // "max" means no limit, and is not a number.
                let limit = text(of: "\(directory)/\(file)").flatMap { Int($0.prefix { $0 != "\n" }) }
                if let limit { least = min(least, limit) }
            }
            guard !names.isEmpty else { return least }
            names.removeLast()
        }
    }

    private static var machineByteCount: Int {
        // From sysinfo(2), because the service can't see /proc/meminfo.
        let (pages, pageSize) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
        let (byteCount, isTooMuch) = pages.multipliedReportingOverflow(by: pageSize)
        return pages > 0 && pageSize > 0 && !isTooMuch ? byteCount : Int.max
    }

    /// The beginning of a file of the kernel; the files read here are short enough.
    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
