import Base
import Broker
import Testing

@testable import LogBroker

@Suite struct LogRecordTests {
    static let contents: [LogRecord.Content] = {
        var writer = PublicationWriter()
        Array("ada".utf8).withUnsafeBytes { user in
            writer.append(CarriedPublication(.chatText, time: 5, user: user, payload: user))
            writer.append(CarriedPublication(.binary, time: 6, user: user, payload: user))
        }
        let position = MessagePosition(epoch: "e1", seq: 7)
        let known = LogRecord.Claim(kind: .known, position: position)
        let replacing = LogRecord.Claim(kind: .replacing, position: position, replaced: "e0")
        let change = LogRecord.UserChange(
            channel: "ü", user: "ada", time: 1_000, isPresent: true, isAnnounced: false)
        return [
            .publications(channel: "c", known, number: 9, numberedCount: 1, history: nil, writer.bytes),
            .publications(
                channel: "c", replacing, number: 9, numberedCount: 1,
                history: HistoryLimits(messageCount: 3, age: 4, byteCount: 5), writer.bytes),
            .channels([
                LogRecord.ChannelClaim(channel: "c", claim: known),
                LogRecord.ChannelClaim(channel: "d", claim: replacing),
            ]),
            .changes([change]), .users([change], isFirst: true, isLast: false),
            .users([], isFirst: false, isLast: true),
            .message([0, 1, 2], to: nil), .message([], to: NodeID(rawValue: 77)),
            .beat(description: "{}", probe: 3, isNew: true), .end, .gone(NodeID(rawValue: 5)),
        ]
    }()

    @Test("A record is read as it was written", arguments: contents)
    func roundTrip(content: LogRecord.Content) throws {
        let record = LogRecord(sender: NodeID(rawValue: 1), serial: 2, readTo: 3, content: content)
        let read = try record.bytes.withUnsafeBytes { bytes in
            #expect(LogRecord.isMarked(bytes))
            return try LogRecord(bytes)
        }
        #expect(read == record)
    }

    @Test("A serial number is refused that leaves none for later records", arguments: [1 << 62, UInt64.max])
    func serial(number: UInt64) {
        let record = LogRecord(sender: NodeID(rawValue: 1), serial: number, readTo: 3, content: .end)
        _ = record.bytes.withUnsafeBytes { bytes in #expect(throws: StateError.self) { try LogRecord(bytes) } }
    }

    @Test("A damaged record is refused or read, and ends nothing", arguments: contents)
    func damage(content: LogRecord.Content) {
        let record = LogRecord(sender: NodeID(rawValue: 1), serial: 2, readTo: 3, content: content)
        let rest = Array(record.bytes.dropFirst(LogRecord.mark.count))
        let seed = UInt64.random(in: 0 ... .max)
        var refusals = 0
        rest.damaged(500, seed: seed) { damaged in
            (LogRecord.mark + damaged).withUnsafeBytes { bytes in
                do { _ = try LogRecord(bytes) } catch { refusals += 1 }
            }
        }
        #expect(refusals > 0, "seed \(seed)")
    }

    @Test(
        "Keys are in the partitions where Kafka's own clients have them",
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
        ])
    func murmur(key: String, hash: Int32) {
        var key = key
        #expect(Int32(bitPattern: key.withUTF8 { Murmur2.hash($0) }) == hash)
        #expect((0..<8).contains(Murmur2.partition(of: key, among: 8)))
    }
}
