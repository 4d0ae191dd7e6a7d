import Broker
import Testing

@Suite struct PublicationCodecTests {
    private struct Plain: Equatable {
        var kind: CarriedPublication.Kind
        var time: Int64
        var user: [UInt8]
        var payload: [UInt8]

        init(_ publication: CarriedPublication) {
            kind = publication.kind
            time = publication.time
            user = Array(publication.user)
            payload = Array(publication.payload)
        }

        init(_ kind: CarriedPublication.Kind, _ time: Int64, _ user: String, _ payload: [UInt8]) {
            self.kind = kind
            self.time = time
            self.user = Array(user.utf8)
            self.payload = payload
        }
    }

    private static let samples = [
        Plain(.chatText, 1_700_000_000_000, "ada", Array("hello".utf8)), Plain(.systemJSON, 0, "", Array("{}".utf8)),
        Plain(.binary, -1, "", []), Plain(.join, .max, "Æ", []),
        Plain(.leave, 5, String(repeating: "x", count: 300), []),
        Plain(.chatJSON, 6, "b", Array(repeating: 0, count: 70_000)),
    ]

    private static var written: PublicationWriter {
        var writer = PublicationWriter()
        for sample in samples {
            sample.user.withUnsafeBytes { user in
                sample.payload.withUnsafeBytes { payload in
                    writer.append(CarriedPublication(sample.kind, time: sample.time, user: user, payload: payload))
                }
            }
        }
        return writer
    }

    @Test func whatIsWrittenIsRead() {
        var read: [Plain] = []
        #expect(PublicationReader.forEach(Self.written.bytes) { read.append(Plain($0)) })
        #expect(read == Self.samples)
        #expect(Self.written.numberedCount == 3)
        #expect(PublicationReader.numberedCount(in: Self.written.bytes) == 3)
    }

    @Test("The bytes are those that wsd-broker(7) describes")
    func format() {
        var writer = PublicationWriter()
        Array("ada".utf8).withUnsafeBytes { user in
            Array("hi".utf8).withUnsafeBytes { payload in
                writer.append(CarriedPublication(.chatText, time: 0x0102_0304_0506_0708, user: user, payload: payload))
            }
        }
        #expect(
            writer.bytes == Array("c".utf8) + [1, 2, 3, 4, 5, 6, 7, 8, 0, 3, 0, 0, 0, 2] + Array("adahi".utf8))
    }

    @Test("Bytes that end early or have an unknown kind are refused as a whole")
    func damage() {
        let bytes = Self.written.bytes
        var ends: Set<Int> = [0]
        var end = 0
        for sample in Self.samples {
            end += PublicationWriter.headerByteCount + sample.user.count + sample.payload.count
            ends.insert(end)
        }
        for count in 0..<400 where !ends.contains(count) {
            var isCalled = false
            #expect(!PublicationReader.forEach(Array(bytes.prefix(count))) { _ in isCalled = true })
            #expect(!isCalled)
        }
        #expect(PublicationReader.numberedCount(in: [0x78] + bytes.dropFirst()) == nil)
        #expect(PublicationReader.numberedCount(in: []) == 0)
    }
}
