import Base
import Broker
import Metrics

/// The broker's figures as metrics.
struct BrokerMetrics {
    let isUp: Bool
    /// Nil if it is not known.
    let nodeCount: Int?
    /// The messages that the hub has refused because of the broker.
    let refusedPublications: UInt64
    /// The size of the messages that the hub holds for the broker.
    let queuedByteCount: Int
    /// What the broker has delivered and the workers have not taken, and what was dropped because it was too much.
    let deliveries: (byteCount: Int, droppedCount: UInt64)
    let figures: BrokerStatistics

    func add(to text: inout MetricsText) {
        text.add("wsd_broker_up", .gauge, "Whether the broker does its work, as /readyz says it.", isUp ? 1 : 0)
        text.add(
            "wsd_nodes", .gauge, "Nodes that share the broker, this one included; no value while that is not known.",
            nodeCount.map { [([], $0)] } ?? [])
        addPublishing(to: &text)
        addDelivery(to: &text)
        addFaults(to: &text)
    }

    private func addPublishing(to text: inout MetricsText) {
        text.add(
            "wsd_broker_batches_total", .counter,
            "Batches of messages that were given to the broker, by what became of them.",
            [([("result", "accepted")], figures.accepted), ([("result", "refused")], figures.refused)])
        text.add(
            "wsd_broker_repeated_batches_total", .counter,
            "Batches that were sent again, because a connection was lost or the broker asked for it.", figures.repeated)
        text.add(
            "wsd_broker_published_bytes_total", .counter, "Bytes in the batches that the broker accepted.",
            figures.publishedBytes)
        text.add(
            "wsd_broker_refused_messages_total", .counter,
            "Messages that were refused to their publishers because the broker did not take them.", refusedPublications)
        text.add(
            "wsd_broker_queued_batches", .gauge, "Batches that the broker has not answered.", figures.queuedBatches)
        text.add(
            "wsd_broker_queued_bytes", .gauge,
            "Bytes in messages that wait until the broker takes them; broker.queue_limit bounds them.",
            queuedByteCount)
        text.addHistogram(
            "wsd_broker_round_trip_seconds", "From sending a batch to the broker to its answer.",
            bounds: Histogram.secondsBounds, [([], figures.roundTrips.list, figures.roundTrips.seconds)])
    }

    private func addDelivery(to text: inout MetricsText) {
        text.add(
            "wsd_broker_delivered_batches_total", .counter, "Batches that the broker delivered.", figures.delivered)
        text.add(
            "wsd_broker_delivered_messages_total", .counter, "Numbered messages in these batches.",
            figures.deliveredMessages)
        text.add("wsd_broker_delivered_bytes_total", .counter, "Bytes in these batches.", figures.deliveredBytes)
        text.add(
            "wsd_broker_undelivered_bytes", .gauge, "Bytes that the broker delivered and the workers have not taken.",
            deliveries.byteCount)
        text.addHistogram(
            "wsd_broker_lag_seconds",
            "From a message's publication on any node to its delivery to this one, by the clocks of both.",
            bounds: Histogram.secondsBounds, [([], figures.lags.list, figures.lags.seconds)])
        text.add("wsd_broker_channels", .gauge, "Channels that are subscribed at the broker.", figures.channels)
        text.add(
            "wsd_broker_waiting_channels", .gauge, "Those of them whose subscription is not complete.",
            figures.waitingChannels)
    }

    private func addFaults(to text: inout MetricsText) {
        text.add(
            "wsd_broker_reconnects_total", .counter, "Connections to the broker, other than the first two.",
            figures.reconnects)
        text.add(
            "wsd_broker_lost_probes_total", .counter, "Probes that did not come back within the time.",
            figures.probesLost)
        text.add(
            "wsd_broker_probe_seconds", .gauge, "The time that the last probe took to come back.",
            Double(figures.lastProbe) / 1e9)
        text.add(
            "wsd_broker_gaps_total", .counter,
            "Gaps in what a channel was delivered, filled from its history or lost.",
            [([("result", "filled")], figures.gapsFilled), ([("result", "lost")], figures.gapsLost)])
        text.add(
            "wsd_broker_overrun_deliveries_total", .counter,
            "Deliveries that were dropped because the workers did not keep up; their channels were asked for again.",
            deliveries.droppedCount)
        text.add(
            "wsd_broker_renumberings_total", .counter,
            "Channels whose numbering began anew because the broker had lost data.", figures.renumberings)
        text.add(
            "wsd_broker_dropped_batches_total", .counter,
            "Batches that came once more, or were of a numbering that had ended.", figures.droppedBatches)
        text.add(
            "wsd_broker_damaged_messages_total", .counter,
            "Messages in the broker's channels that are not in the form of wsd-broker(7).", figures.damagedMessages)
    }
}
