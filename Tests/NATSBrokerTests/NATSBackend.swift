import Base
import NIOCore
import NIOPosix

@testable import NATSBroker

/// A program that makes streams and publishes in them.
final class NATSBackend: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let link: NIOLoopBoundBox<NATSLink?>

    init(_ port: Int) async throws {
        let loop = group.next()
        let link = NIOLoopBoundBox<NATSLink?>.makeEmptyBox(valueType: NATSLink.self, eventLoop: loop)
        self.link = link
        try await loop.submit {
            let options = NATSBroker.Options([NATSAddress(host: "127.0.0.1", port: port)], node: .random())
            link.value = NATSLink(
                loop, options,
                NATSLink.Events(ready: { _ in }, complained: { _ in }, handled: {}, lost: {}))
            link.value?.start()
        }.get()
    }

    /// The answer to a request, which is made again until there is one.
    @discardableResult
    func ask(_ subject: String, _ payload: String = "", header: [(String, String)] = []) async throws -> String {
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            let answer = try await group.next().flatSubmit { [self] in
                let promise = group.next().makePromise(of: String?.self)
                if let connection = link.value?.ready {
                    connection.request(
                        subject, header: header, size: payload.utf8.count, { $0.writeString(payload) }
                    ) { answer in
                        if case .message(let message) = answer {
                            promise.succeed(String(buffer: message.payload))
                        } else {
                            promise.succeed(nil)
                        }
                    }
                } else {
                    promise.succeed(nil)
                }
                return promise.futureResult
            }.get()
            if let answer { return answer }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw NotSeen("nobody answers on \(subject)")
    }

    /// Publishes, and waits until a stream has each.
    func publish(_ subject: String, _ texts: [String]) async throws {
        for text in texts { try await ask(subject, text) }
    }

    func makeStream(_ name: String, _ subjects: String, _ more: String = "") async throws {
        let settings = "{\"name\":\"\(name)\",\"subjects\":[\"\(subjects)\"],\"storage\":\"file\"\(more)}"
        let answer = try await ask("$JS.API.STREAM.CREATE.\(name)", settings)
        guard !answer.contains("\"error\"") else { throw NotSeen(answer) }
    }

    func end() async throws {
        try await group.next().submit { [link] in
            link.value?.stop()
            link.value = nil
        }.get()
        try await group.shutdownGracefully()
    }
}
