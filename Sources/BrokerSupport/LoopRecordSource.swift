package import Broker
package import NIOCore

/// The part of a source that belongs to its event loop.
package protocol LoopSourceReader: AnyObject {
    /// Passes the next records to `body`; nil if there are no more.
    func next(_ body: @escaping (RecordBatch?) -> Void)
    /// Tells who waits for records that there are no more.
    func end()
    func settle(_ records: [SettledRecord])
    /// Disconnects, and calls `body`.
    func stop(then body: @escaping () -> Void)
}

/// A source whose state belongs to an event loop. The reader is nil before it is made, and after the end.
package protocol LoopRecordSource: RecordSource {
    associatedtype Reader: LoopSourceReader

    var loop: any EventLoop { get }
    var reader: NIOLoopBoundBox<Reader?> { get }
}

extension LoopRecordSource {
    package func next() async -> RecordBatch? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute { [self] in
                    guard let reader = reader.value else { return continuation.resume(returning: nil) }
                    reader.next { continuation.resume(returning: $0) }
                }
            }
        } onCancel: {
            loop.execute { [self] in reader.value?.end() }
        }
    }

    package func settle(_ records: [SettledRecord]) { loop.execute { [self] in reader.value?.settle(records) } }

    package func stop() async {
        await withCheckedContinuation { continuation in
            loop.execute { [self] in
                guard let reader = reader.value else { return continuation.resume() }
                self.reader.value = nil
                reader.stop { continuation.resume() }
            }
        }
    }
}
