import Base
package import Broker
package import Control
internal import Synchronization

/// Publishes the records of a source in channels, and acknowledges each when it has been published.
///
/// It takes a batch of records, publishes it, and takes the next when all of it is settled, so that no more than a batch
/// is held, and records of a channel keep their order. What is refused for now is tried again after a pause; what can't
/// be published is settled with the reason, and does not hold up the rest.
package final class Consumer: Sendable {
    /// What has been done so far.
    package struct Counts: Sendable, Equatable {
        /// Records that were published.
        package var published: UInt64 = 0
        /// Records that can't be published.
        package var rejected: UInt64 = 0
        /// Publications that were refused, and tried again.
        package var retried: UInt64 = 0
    }

    /// What the consumer needs from the daemon.
    package struct Surroundings: Sendable {
        /// Publishes messages, and returns what became of each.
        package var publish: @Sendable ([ChannelMessage]) async -> [Result<PublishResult, ControlError>]
        /// The most bytes that are published together.
        package var publishByteCount: @Sendable () -> Int
        /// Told of each record that can't be published.
        package var rejected: @Sendable (SettledRecord) -> Void
        /// Waits before publications are tried again.
        package var pause: @Sendable (Duration) async throws -> Void

        package init(
            publish: @escaping @Sendable ([ChannelMessage]) async -> [Result<PublishResult, ControlError>],
            publishByteCount: @escaping @Sendable () -> Int, rejected: @escaping @Sendable (SettledRecord) -> Void,
            pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
        ) {
            self.publish = publish
            self.publishByteCount = publishByteCount
            self.rejected = rejected
            self.pause = pause
        }
    }

    private static let backoff = Backoff(shortest: 0.05, longest: 5)

    private let source: any RecordSource
    private let rules: ConsumerRules
    private let around: Surroundings
    private let progress = Mutex((counts: Counts(), refusal: String?.none))

    package init(_ source: any RecordSource, _ rules: ConsumerRules, _ around: Surroundings) {
        self.source = source
        self.rules = rules
        self.around = around
    }

    package var counts: Counts { progress.withLock(\.counts) }

    /// Why the last publication was refused; nil if it was not.
    package var refusal: String? { progress.withLock(\.refusal) }

    /// Publishes until the source is stopped or the task is cancelled.
    package func run() async {
        while !Task.isCancelled, let batch = await source.next() { await publish(batch) }
    }

    private func publish(_ batch: RecordBatch) async {
        var window = PublishWindow(judge(batch.records))
        var attemptCount = 0
        while !window.entries.isEmpty, source.isCurrent(batch.term) {
            let messages = window.prefix(byteCount: around.publishByteCount())
            let (settled, refusal) = window.note(await around.publish(messages))
            settle(settled, refusal: refusal, retriedCount: messages.count - settled.count)
            guard refusal != nil else {
                attemptCount = 0
                continue
            }
            attemptCount += 1
            let longest = Self.backoff.ceiling(after: attemptCount)
            do { try await around.pause(.seconds(Double.random(in: longest / 2...longest))) } catch { return }
        }
    }

    /// The messages of the records; those that have none are settled.
    private func judge(_ records: [Record]) -> [PublishWindow.Entry] {
        var faults: [SettledRecord] = []
        let entries = records.compactMap { record -> PublishWindow.Entry? in
            do throws(RecordFault) {
                return PublishWindow.Entry(id: record.id, message: try rules.message(of: record))
            } catch {
                faults.append(SettledRecord(id: record.id, fault: error.description))
                return nil
            }
        }
        if !faults.isEmpty { settle(faults, refusal: refusal, retriedCount: 0) }
        return entries
    }

    private func settle(_ settled: [SettledRecord], refusal: String?, retriedCount: Int) {
        let faults = settled.filter { $0.fault != nil }
        progress.withLock { progress in
            progress.counts.published &+= UInt64(clamping: settled.count - faults.count)
            progress.counts.rejected &+= UInt64(clamping: faults.count)
            progress.counts.retried &+= UInt64(clamping: retriedCount)
            progress.refusal = refusal
        }
        if !settled.isEmpty { source.settle(settled) }
        for fault in faults { around.rejected(fault) }
    }
}
