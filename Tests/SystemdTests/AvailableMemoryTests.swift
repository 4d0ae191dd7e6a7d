import FoundationEssentials
import Testing

@testable import Systemd

@Suite("The memory that there is")
struct AvailableMemoryTests {
    private static let gibibyte = 1 << 30

    /// What is found where /proc/self/cgroup and the files of the control groups say this.
    private func found(_ cgroup: String, _ files: [String: String]) throws -> Int {
        let manager = FileManager.default
        let root = manager.temporaryDirectory.appending(path: "wsd-memory-\(UInt64.random(in: 0 ... .max))").path
        defer { try? manager.removeItem(atPath: root) }
        for (file, text) in files.merging(["/proc/self/cgroup": cgroup], uniquingKeysWith: { first, _ in first }) {
            let path = root + file
            let directory = path[..<(path.lastIndex(of: "/") ?? path.endIndex)]
            try manager.createDirectory(atPath: String(directory), withIntermediateDirectories: true)
            #expect(manager.createFile(atPath: path, contents: Data(text.utf8)))
        }
        return AvailableMemory.byteCount(machine: 8 * Self.gibibyte, root: root)
    }

    @Test("is the machine's where no control group bounds it")
    func machine() throws {
        #expect(try found("0::/system.slice/wsd.service\n", [:]) == 8 * Self.gibibyte)
        let unbounded = ["/sys/fs/cgroup/system.slice/wsd.service/memory.max": "max\n"]
        #expect(try found("0::/system.slice/wsd.service\n", unbounded) == 8 * Self.gibibyte)
        #expect(try found("", [:]) == 8 * Self.gibibyte)
        #expect(AvailableMemory.byteCount() > 0 && AvailableMemory.byteCount() < Int.max)
    }

    @Test("is the least of what the control group and those around it may have")
    func controlGroup() throws {
        let own = "/sys/fs/cgroup/system.slice/wsd.service"
        let group = "1:name=systemd:/x\n0::/system.slice/wsd.service\n"
        #expect(try found(group, ["\(own)/memory.max": "1073741824\n"]) == Self.gibibyte)
        let both = ["\(own)/memory.max": "1073741824\n", "\(own)/memory.high": "536870912\n"]
        #expect(try found(group, both) == 1 << 29)
        let around = ["\(own)/memory.max": "max\n", "/sys/fs/cgroup/system.slice/memory.max": "2147483648\n"]
        #expect(try found(group, around) == 2 * Self.gibibyte)
        // In a container, whose own group is the root that it sees.
        #expect(try found("0::/\n", ["/sys/fs/cgroup/memory.max": "4096\n"]) == 4096)
        // More than the machine has is no more than it has.
        #expect(try found("0::/\n", ["/sys/fs/cgroup/memory.max": "99999999999999\n"]) == 8 * Self.gibibyte)
    }

    @Test("heeds no path that leads out of the tree")
    func outside() throws {
        let files = ["/sys/fs/cgroup/memory.max": "4096\n", "/sys/fs/memory.max": "1\n"]
        #expect(try found("0::/..\n", files) == 4096)
    }
}
