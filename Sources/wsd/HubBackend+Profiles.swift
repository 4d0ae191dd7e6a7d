import CLinux
import Control
import Engine
import Glibc
import Logging
import Profiling

/// Profiles of the daemon's time and memory.
extension HubBackend {
    func cpuProfile(seconds: Int, by caller: Caller) async throws(ControlError) -> [UInt8] {
        audit.notice("taking a CPU profile of \(seconds) s", metadata: metadata(caller))
        do { return try await Sampler.cpuProfile(seconds: seconds) } catch { throw Self.error(error) }
    }

    func threadStacks(by caller: Caller) async throws(ControlError) -> String {
        audit.notice("looking what each thread does", metadata: metadata(caller))
        do { return try Sampler.threadStacks() } catch { throw Self.error(error) }
    }

    private static func error(_ error: any Error) -> ControlError {
        .profileFailed(error is Sampler.Busy ? "another profile is being taken" : "\(error)")
    }

    func heapReport() async -> String {
        let heap = HeapReport()
        let total = Statistics(total: await hub.statistics())
        let resident = ProcessFile.residentPages.map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) }
        let rows: [(String, Int?)] = [
            ("resident", resident), ("heap, taken from the system", heap.takenBytes), ("heap, in use", heap.usedBytes),
            ("large blocks", heap.mappedBytes), ("connection records", total.connections * hub.connectionByteCount),
            ("waiting for slow clients", total.queuedBytes), ("history of channels", total.historyBytes),
        ]
        return rows.map { name, bytes in
            let number = bytes.map(String.init) ?? "-"
            return String(repeating: " ", count: max(0, 14 - number.count)) + "\(number)  \(name)\n"
        }.joined()
    }
}
