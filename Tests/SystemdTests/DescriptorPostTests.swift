import Glibc
import Testing

@testable import Systemd

@Suite("Descriptors on their way to the next process")
struct DescriptorPostTests {
    @Test(arguments: [0, 1, 252, 253, 254, 700])
    func `come out in their order with their marks`(count: Int) {
        let items = (0..<count).map { number in
            DescriptorPost.Item(descriptor: open("/dev/null", O_RDONLY), isMarked: number % 3 == 0)
        }
        defer { for item in items { close(item.descriptor) } }
        let sent = DescriptorPost.send(items, pairLimit: 6)
        #expect(sent.count == count && sent.error == 0 && sent.ends.count == 1)
        var received: [DescriptorPost.Item] = []
        for end in sent.ends { DescriptorPost.receive(from: end) { received += $0 } }
        #expect(received.map(\.isMarked) == items.map(\.isMarked))
        for item in received {
            #expect(fcntl(item.descriptor, F_GETFD) == FD_CLOEXEC)
            close(item.descriptor)
        }
    }

    @Test func `says how many had room`() {
        let null = open("/dev/null", O_RDONLY)
        defer { close(null) }
        let items = [DescriptorPost.Item](repeating: .init(descriptor: null, isMarked: false), count: 300)
        let none = DescriptorPost.send(items, pairLimit: 0)
        #expect(none.count == 0 && none.ends.isEmpty && none.error == ENOBUFS)
    }

    @Test func `are known to be kept, or not`() {
        let items = [DescriptorPost.Item(descriptor: STDIN_FILENO, isMarked: false)]
        let (kept, dropped) = (DescriptorPost.send(items, pairLimit: 1), DescriptorPost.send([], pairLimit: 1))
        defer { for descriptor in kept.sources + dropped.sources + kept.ends { close(descriptor) } }
        #expect(DescriptorPost.areKept(kept.sources + dropped.sources, patience: .zero))
        close(dropped.ends[0])
        #expect(DescriptorPost.areKept(kept.sources, patience: .zero))
        #expect(!DescriptorPost.areKept(kept.sources + dropped.sources, patience: .seconds(60)))
    }

    @Test func `a file in memory is sealed`() throws {
        var pieces: [[UInt8]] = [[1, 2], [], [3]]
        let descriptor = MemoryFile.make(name: "test", &pieces)
        #expect(pieces.isEmpty)
        try #require(descriptor >= 0)
        var byte: UInt8 = 9
        #expect(write(descriptor, &byte, 1) == -1 && errno == EPERM)
        #expect(ftruncate(descriptor, 1) == -1)
        let file = MemoryFile(reading: descriptor)
        #expect(Array(file.bytes) == [1, 2, 3])
        #expect(MemoryFile(reading: -1).bytes.isEmpty)
    }
}
