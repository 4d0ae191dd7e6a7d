internal import CLinux
internal import Glibc
internal import Synchronization

/// The stack of a thread.
struct Stack: Hashable {
    var thread: Int32
    /// The addresses, innermost first.
    var addresses: [UInt64]
}

/// Samples the stacks of the process's threads. Costs nothing while no profile is being taken.
package enum Sampler {
    /// Another profile is being taken.
    package struct Busy: Error {}
    /// The kernel doesn't permit it.
    package struct Refused: Error, CustomStringConvertible {
        package let description: String
    }

    /// Samples per second of a thread's CPU time.
    package static let frequency = 100

    /// The maximum number of samples in a profile, which take 78 MB; further ones are counted as lost.
    private static let mostSamples = 100_000

    private static let isBusy = Atomic(false)

    /// Takes a CPU profile in the format profile.proto of pprof. Threads that start meanwhile are not included.
    package static func cpuProfile(seconds: Int) async throws -> [UInt8] {
        try begin()
        defer { end() }
        let start = clinux_realtime_milliseconds()
        let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let room = min(seconds * frequency * (processors + 1), mostSamples)
        let result = clinux_sampler_start(Int32(frequency), Int64(room))
        defer { clinux_sampler_free() }
        // If cancelled early, it is still a valid profile.
        if result == 0 { try? await Task.sleep(for: .seconds(seconds)) }
        clinux_sampler_stop()
        guard result == 0 else { throw Refused(description: String(cString: strerror(result))) }
        var counts: [Stack: UInt64] = [:]
        forEachStack { counts[$0, default: 0] += 1 }
        let duration = clinux_realtime_milliseconds() - start
        return CPUProfile(counts: counts, start: start, milliseconds: duration, lost: clinux_sampler_lost()).encoded()
    }

    /// The current stack of each thread, as text for a person.
    package static func threadStacks() throws -> String {
        try begin()
        defer { end() }
        let result = clinux_sampler_look(500)
        defer { clinux_sampler_free() }
        clinux_sampler_stop()
        guard result == 0 else { throw Refused(description: String(cString: strerror(result))) }
        let symbols = Symbols()
        var text = ""
        var stacks: [Stack] = []
        forEachStack { stacks.append($0) }
        for stack in stacks.sorted(by: { $0.thread < $1.thread }) {
            text += "thread \(stack.thread) \(ThreadName.of(stack.thread))\n"
            for address in stack.addresses { text += "  \(symbols.name(of: address))\n" }
        }
        return text
    }

    private static func forEachStack(_ body: (Stack) -> Void) {
        for index in 0..<clinux_sampler_count() {
            let sample = clinux_sampler_sample(index)!
            guard sample.pointee.count > 0 else { continue }
            let addresses = withUnsafeBytes(of: sample.pointee.addresses) {
                Array($0.bindMemory(to: UInt64.self).prefix(Int(sample.pointee.count)))
            }
            body(Stack(thread: sample.pointee.thread, addresses: addresses))
        }
    }

    private static func begin() throws {
        guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else {
            throw Busy()
        }
    }

    private static func end() { isBusy.store(false, ordering: .releasing) }
}

/// The names of threads.
enum ThreadName {
    static func of(_ thread: Int32) -> String {
        let descriptor = open("/proc/self/task/\(thread)/comm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "-" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
