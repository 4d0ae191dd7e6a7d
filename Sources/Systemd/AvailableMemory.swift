internal import Glibc

/// The memory that this process can have: that of the machine, or what the control groups that it is in leave of it.
package enum AvailableMemory {
    /// Bytes; what can't be found out limits nothing.
    package static func byteCount() -> Int { byteCount(machine: machineByteCount, root: "") }

    /// - Parameters:
    ///   - machine: the memory of the machine.
    ///   - root: the directory that /proc and /sys are in, for tests.
    static func byteCount(machine: Int, root: String) -> Int {
        var least = machine
        // Version 2 alone has one tree for all, with the number 0: cgroups(7).
        guard let groups = text(of: root + "/proc/self/cgroup"),
            let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return least }
        // Each group bounds those in it. A path that leads out of what is mounted here says nothing.
        var names = line.dropFirst(4).split(separator: "/")
        if names.contains("..") { names = [] }
        while true {
            let directory = ([root + "/sys/fs/cgroup"] + names.map(String.init)).joined(separator: "/")
            for file in ["memory.max", "memory.high"] {
                // "max" is no limit, and no number.
                let limit = text(of: "\(directory)/\(file)").flatMap { Int($0.prefix { $0 != "\n" }) }
                if let limit { least = min(least, limit) }
            }
            guard !names.isEmpty else { return least }
            names.removeLast()
        }
    }

    private static var machineByteCount: Int {
        // By sysinfo(2), so without a /proc/meminfo, which the service can't see.
        let (pages, pageSize) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
        let (byteCount, isTooMuch) = pages.multipliedReportingOverflow(by: pageSize)
        return pages > 0 && pageSize > 0 && !isTooMuch ? byteCount : Int.max
    }

    /// The beginning of a file of the kernel's, which is all of those that are read here.
    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
