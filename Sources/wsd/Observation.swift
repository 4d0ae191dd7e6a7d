import API
import Authentication
import Control
import Engine
import Glibc
import Metrics

/// What `/metrics`, `/healthz` and `/readyz` say.
struct Observation: Router.Observer {
    let hub: Hub
    let lifecycle: Lifecycle
    let reloader: Reloader
    let verifier: TokenVerifier?
    let maximumConnections: Int
    let startedAt: Int64

    func metrics(openMetrics: Bool) async -> String {
        let workers = await hub.statistics()
        var total = Statistics()
        for worker in workers { total += worker }
        var text = MetricsText(openMetrics: openMetrics)
        addConnections(total, workers, to: &text)
        addMessages(total, to: &text)
        await addEvents(to: &text)
        addProcess(to: &text)
        return text.finished
    }

    private func addConnections(_ total: Statistics, _ workers: [Statistics], to text: inout MetricsText) {
        func byWorker<Value: MetricValue>(_ value: (Statistics) -> Value) -> [([(String, String)], Value)] {
            workers.enumerated().map { ([("worker", "\($0)")], value($1)) }
        }
        text.add("websocket_active_connections", .gauge, "WebSockets that are open now.", total.connections)
        text.add("wsd_worker_connections", .gauge, "WebSockets that are open now, by worker.", byWorker(\.connections))
        text.add("wsd_max_connections", .gauge, "The most connections that the hub takes.", maximumConnections)
        text.add(
            "websocket_accepted_total", .counter, "TCP connections that were accepted.", total.accepted)
        text.add(
            "websocket_opened_total", .counter, "WebSockets whose opening handshake succeeded.", total.opened)
        text.add(
            "websocket_refused_total", .counter, "Connections refused before or in their opening handshake, by reason.",
            RefusalCause.allCases.map { ([("reason", $0.label)], total.refused[Int($0.rawValue)]) })
        text.add(
            "websocket_closed_total", .counter, "WebSockets that ended, by reason.",
            CloseCause.allCases.filter { $0 != .none }
                .map { ([("reason", $0.label)], total.closed[Int($0.rawValue)]) })
        text.add("wsd_loop_turns_total", .counter, "Turns of a worker's loop.", byWorker(\.turns))
    }

    private func addMessages(_ total: Statistics, to text: inout MetricsText) {
        text.add(
            "websocket_messages_received_total", .counter, "Messages that came from clients.", total.messagesIn)
        text.add(
            "websocket_messages_sent_total", .counter, "Messages sent to clients, each counted once per receiver.",
            total.messagesOut)
        text.add("websocket_received_bytes_total", .counter, "Bytes that came from clients.", total.bytesIn)
        text.add("websocket_sent_bytes_total", .counter, "Bytes sent to clients.", total.bytesOut)
        text.add("wsd_queued_bytes", .gauge, "Bytes that wait for slow clients to read.", total.queuedBytes)
        text.add("wsd_slow_consumers", .gauge, "Connections that have something waiting now.", total.slowConsumers)
        text.add(
            "wsd_dropped_messages_total", .counter, "Messages that slow clients never got, by queue.policy.",
            total.dropped)
        text.add("wsd_channels", .gauge, "Channels that somebody is in, or that have a history.", total.channels)
        text.add("wsd_history_bytes", .gauge, "What the history of all channels costs.", total.historyBytes)
    }

    private func addEvents(to text: inout MetricsText) async {
        if let verifier {
            text.add(
                "wsd_refused_tokens_total", .counter, "Tokens that were refused, by reason.",
                verifier.refusalCounts.map { ([("reason", $0.label)], $0.count) })
        }
        let reloads = await reloader.counts
        text.add(
            "wsd_reloads_total", .counter, "Times that the configuration was read again, by result.",
            [([("result", "ok")], reloads.succeeded), ([("result", "error")], reloads.failed)])
    }

    /// The names that Prometheus' own client libraries have.
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
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            text.add("process_max_fds", .gauge, "Files that the daemon may have open.", Int(clamping: limit.rlim_cur))
        }
    }

    func whyNotAlive() async -> String? {
        // Each worker answers in a turn of its own.
        let (answers, answer) = AsyncStream.makeStream(of: Bool.self)
        Task { [hub] in
            _ = await hub.statistics()
            answer.yield(true)
        }
        Task {
            try? await Task.sleep(for: .seconds(1))
            answer.yield(false)
        }
        for await isAlive in answers { return isAlive ? nil : "a worker has not turned for a second" }
        return nil
    }

    func whyNotReady() async -> String? {
        if await lifecycle.progress(connectionsLeft: 0) != nil { return "draining" }
        let count = hub.connectionCount
        guard count < maximumConnections else { return "full: \(count) connections" }
        return await whyNotAlive()
    }
}

/// What the kernel tells of this process; see proc(5).
enum ProcessFile {
    /// The pages that are in RAM.
    static var residentPages: Int? {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return nil }
        let fields = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? Int(fields[1]) : nil
    }
}
