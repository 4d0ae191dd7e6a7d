import Base
import Engine
import Metrics
import Settings
import WebSocket

/// The counters of the workers as metrics.
struct HubMetrics {
    let total: Statistics
    let workers: [Statistics]
    let endpointPaths: [String]
    let maximumConnections: Int

    func add(to text: inout MetricsText) {
        addConnections(to: &text)
        addMessages(to: &text)
        addFrames(to: &text)
        addQueues(to: &text)
        addMemory(to: &text)
        addTimes(to: &text)
    }

    private func byWorker<Value: MetricValue>(_ value: (Statistics) -> Value) -> [([(String, String)], Value)] {
        workers.enumerated().map { ([("worker", "\($0)")], value($1)) }
    }

    private func addConnections(to text: inout MetricsText) {
        text.add("websocket_active_connections", .gauge, "WebSockets that are open now.", total.connections)
        text.add("wsd_worker_connections", .gauge, "WebSockets that are open now, by worker.", byWorker(\.connections))
        text.add(
            "wsd_worker_up", .gauge, "Whether the worker has turned within the last second.",
            byWorker { $0.isStale ? 0 : 1 })
        // The paths come from the configuration, never from a client.
        var byPath = Dictionary(endpointPaths.map { ($0, 0) }) { first, _ in first }
        for (place, count) in total.connectionsByEndpoint where place < endpointPaths.count {
            byPath[endpointPaths[place], default: 0] += count
        }
        text.add(
            "wsd_endpoint_connections", .gauge, "WebSockets that are open now, by the endpoint's path.",
            byPath.sorted { $0.key < $1.key }.map { ([("endpoint", $0.key)], $0.value) })
        text.add("wsd_max_connections", .gauge, "The most connections that the hub takes.", maximumConnections)
        text.add("websocket_accepted_total", .counter, "TCP connections that were accepted.", total.accepted)
        text.add(
            "websocket_opened_total", .counter, "WebSockets whose opening handshake succeeded.", total.opened)
        text.add(
            "websocket_refused_total", .counter, "Connections refused before or in their opening handshake, by reason.",
            RefusalCause.allCases.map { ([("reason", $0.label)], total.refused[Int($0.rawValue)]) })
        text.add(
            "websocket_closed_total", .counter, "WebSockets that ended, by reason.",
            CloseCause.allCases.filter { $0 != .none }
                .map { ([("reason", $0.label)], total.closed[Int($0.rawValue)]) })
        text.add(
            "websocket_close_codes_total", .counter,
            "WebSockets that ended, by the code of the first close frame; without one 1006, or 3008 after write_timeout.",
            Statistics.closeCodeLabels.enumerated().map { ([("code", $1)], total.closeCodes[$0]) })
    }

    private func addMessages(to text: inout MetricsText) {
        text.add(
            "websocket_messages_received_total", .counter, "Messages that came from clients.", total.messagesIn)
        text.add(
            "websocket_messages_sent_total", .counter, "Messages sent to clients, each counted once per receiver.",
            total.messagesOut)
        text.add("websocket_received_bytes_total", .counter, "Bytes that came from clients.", total.bytesIn)
        text.add("websocket_sent_bytes_total", .counter, "Bytes sent to clients.", total.bytesOut)
        text.add("wsd_channels", .gauge, "Channels that somebody is in, or that have a history.", total.channels)
        text.add(
            "wsd_subscriptions", .gauge, "Subscriptions: a connection has one for each channel that it is in.",
            total.subscriptions)
        text.add("wsd_history_bytes", .gauge, "What the history of all channels costs.", total.historyBytes)
    }

    private func addFrames(to text: inout MetricsText) {
        func label(_ name: String) -> [(String, String)] { [("opcode", name)] }
        let opcodes: [(String, Opcode)] = [
            ("continuation", .continuation), ("text", .text), ("binary", .binary), ("close", .close), ("ping", .ping),
            ("pong", .pong),
        ]
        text.add(
            "websocket_received_frames_total", .counter,
            "Frames that came from clients, by opcode; of a fragmented message, the first and the others.",
            opcodes.map { (label($0), total.framesIn[Int($1.rawValue)]) })
        let sent = opcodes.map { name, opcode in
            switch opcode {
            case .continuation: (label(name), UInt64(0))
            case .text: (label(name), total.messagesOut - total.binaryOut)
            case .binary: (label(name), total.binaryOut)
            default: (label(name), total.controlFramesOut[Int(opcode.rawValue)])
            }
        }
        text.add(
            "websocket_sent_frames_total", .counter, "Frames sent to clients, by opcode.",
            sent.filter { $0.0[0].1 != "continuation" })
        let directions: [(String, UInt64, UInt64)] = [
            ("in", total.inflatedTo, total.inflatedFrom), ("out", total.deflatedFrom, total.deflatedTo),
        ]
        text.add(
            "wsd_compression_plain_bytes_total", .counter,
            "Bytes of compressed messages before compression; each message counts once, whoever it goes to.",
            directions.map { ([("direction", $0.0)], $0.1) })
        text.add(
            "wsd_compression_compressed_bytes_total", .counter, "The same after compression.",
            directions.map { ([("direction", $0.0)], $0.2) })
    }

    private func addQueues(to text: inout MetricsText) {
        text.add("wsd_queued_bytes", .gauge, "Bytes that wait for slow clients to read.", total.queuedBytes)
        text.add("wsd_queued_messages", .gauge, "Messages that wait for slow clients to read.", total.queuedMessages)
        text.add("wsd_slow_consumers", .gauge, "Connections that have something waiting now.", total.slowConsumers)
        text.add(
            "wsd_queue_overflows_total", .counter,
            "Connections for which more waited than queue.limit allows, by the queue.policy that they met.",
            Settings.QueuePolicy.allCases.map {
                ([("policy", $0.name)], total.overLimit[Int($0.rawValue)])
            })
        text.add(
            "wsd_dropped_messages_total", .counter, "Messages that slow clients never got, by queue.policy.",
            total.dropped)
    }

    private func addMemory(to text: inout MetricsText) {
        let memory = total.memory
        let kinds = [
            ("input", memory.input), ("mailboxes", memory.mailboxes),
            ("backlogs", memory.backlogs), ("history", memory.history), ("broker", memory.broker),
            ("other", memory.other),
        ]
        text.add(
            "wsd_memory_bytes", .gauge,
            "What is held for clients, by what it is; all together is what limits.memory bounds.",
            kinds.map { ([("kind", $0.0)], $0.1) })
        text.add(
            "wsd_memory_limit_bytes", .gauge, "The most that is held for clients; 0 where nothing bounds it.",
            memory.limit)
    }

    private func addTimes(to text: inout MetricsText) {
        text.add("wsd_loop_turns_total", .counter, "Turns of a worker's loop.", byWorker(\.turns))
        text.addHistogram(
            "wsd_loop_turn_seconds", "From a worker's waking up to its having sent what there was.",
            bounds: Histogram.secondsBounds, seconds(\.turnTimes))
        text.addHistogram(
            "wsd_loop_batch_connections", "Connections that a turn of a worker's loop sent to.",
            bounds: Histogram.countBounds,
            workers.enumerated().map { ([("worker", "\($0)")], $1.batches.list, Double($1.batches.sum)) })
        text.addHistogram(
            "wsd_publish_seconds",
            "From a message's arrival to its having been handed to the kernel for a worker's subscribers.",
            bounds: Histogram.secondsBounds, [([], total.latencies.list, total.latencies.seconds)])
        text.addHistogram(
            "wsd_handshake_seconds", "From accepting a connection to the WebSocket's opening.",
            bounds: Histogram.secondsBounds, [([], total.handshakes.list, total.handshakes.seconds)])
    }

    private func seconds(
        _ histogram: (Statistics) -> Histogram
    ) -> [(labels: [(String, String)], counts: [UInt64], sum: Double)] {
        workers.enumerated().map {
            let histogram = histogram($1)
            return ([("worker", "\($0)")], histogram.list, histogram.seconds)
        }
    }
}

extension Histogram {
    var list: [UInt64] { counts.indices.map { counts[$0] } }
    var seconds: Double { Double(sum) / 1e9 }
}
