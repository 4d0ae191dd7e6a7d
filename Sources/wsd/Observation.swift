import API
import Authentication
import CLinux
import Control
import Engine
import Glibc
import Metrics
import TLSHandshake

/// The contents of `/metrics`, `/healthz` and `/readyz`.
struct Observation: Router.Observer {
    let hub: Hub
    let lifecycle: Lifecycle
    let reloader: Reloader
    let tokens: Tokens
    /// Nil if the node is alone.
    let broker: NodeBroker?
    let consumers: Consumers?
    let startedAt: Int64

    func metrics(openMetrics: Bool, requests: [(path: String, status: UInt, count: UInt64)]) async -> String {
        let workers = await hub.statistics()
        let total = Statistics(total: workers)
        var text = MetricsText(openMetrics: openMetrics)
        let figures = HubMetrics(
            total: total, workers: workers, endpointPaths: hub.endpointPaths, maximumConnections: hub.maximumConnections
        )
        figures.add(to: &text)
        if let broker {
            let metrics = BrokerMetrics(
                isUp: broker.problem == nil, nodeCount: await broker.nodeCount(),
                refusedPublications: total.refusedPublications, queuedByteCount: hub.brokerQueueByteCount,
                deliveries: hub.brokerDeliveries, figures: broker.statistics())
            metrics.add(to: &text)
        }
        consumers?.add(to: &text)
        if let adopted = hub.adopted { RestartReport(adopted).add(to: &text) }
        if let recovered = hub.recovered { RecoveryReport(recovered).add(to: &text) }
        await reloader.tls?.add(to: &text)
        await addEvents(to: &text)
        text.add(
            "wsd_api_requests_total", .counter, "Requests to the HTTP API and its probes, by path and HTTP status.",
            requests.map { ([("path", $0.path), ("status", "\($0.status)")], $0.count) })
        addProcess(to: &text)
        return text.finished
    }

    private func addEvents(to text: inout MetricsText) async {
        if let counts = tokens.refusalCounts {
            text.add(
                "wsd_refused_tokens_total", .counter, "Tokens that were refused, by reason.",
                counts.map { ([("reason", $0.label)], $0.count) })
        }
        let reloads = await reloader.counts
        text.add(
            "wsd_reloads_total", .counter, "Times that the configuration was read again, by result.",
            [([("result", "ok")], reloads.succeeded), ([("result", "error")], reloads.failed)])
        text.add(
            "wsd_config_pending_restart", .gauge,
            "Keys of the configuration that are given otherwise than in force, and take effect after a restart only.",
            await reloader.pendingRestart.count)
        text.add(
            "wsd_config_unused", .gauge,
            "Keys of the configuration that are given and not used, because systemd passes sockets in their place.",
            await reloader.unusedKeys.count)
    }

    /// Adds the metrics of the process, with the names that Prometheus' own client libraries use.
    private func addProcess(to text: inout MetricsText) {
        text.add(
            "wsd_build_info", .info, "The version that runs.", [([("version", WSD.version)], 1)])
        text.add(
            "process_start_time_seconds", .gauge, "When the daemon was ready, in seconds since 1970.",
            Double(startedAt) / 1000)
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            let seconds = { (time: timeval) in Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
            text.add(
                "process_cpu_seconds_total", .counter, "CPU time of the daemon.",
                seconds(usage.ru_utime) + seconds(usage.ru_stime))
        }
        if let pages = ProcessFile.residentPages {
            text.add(
                "process_resident_memory_bytes", .gauge, "Memory of the daemon that is in RAM.",
                pages * Int(sysconf(Int32(_SC_PAGESIZE))))
        }
        let count = clinux_open_descriptor_count()
        if count > 0 {
            text.add("process_open_fds", .gauge, "Files that the daemon has open.", Int(count))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            text.add("process_max_fds", .gauge, "Files that the daemon may have open.", Int(clamping: limit.rlim_cur))
        }
    }

    func whyNotAlive() async -> String? { await health.whyNotAlive }

    func whyNotReady() async -> String? { await health.whyNotReady }

    private var health: Health { get async { await Health(hub, lifecycle, broker, workers: hub.statistics()) } }
}
