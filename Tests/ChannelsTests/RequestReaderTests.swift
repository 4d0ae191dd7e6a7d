import Foundation
import Testing

@testable import Channels

@Suite("A request")
struct RequestReaderTests {
    private func read<Value>(
        _ text: String, _ body: (Result<Request, RequestError>, UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        try Array(text.utf8).withUnsafeBytes { try body(RequestReader.read($0), $0) }
    }

    private func code(_ text: String) -> RequestError.Code? {
        read(text) { result, _ in if case .failure(let error) = result { error.code } else { nil } }
    }

    @Test("is read in any order of its members, with any white space")
    func order() throws {
        for text in [
            #"{"type":"chat","channel":"room:1","data":{"a":[1,2]},"id":7}"#,
            " \t\r\n{ \"data\" : {\"a\":[1,2]} , \"id\" : 7 , \"channel\" : \"room:1\" , \"type\" : \"chat\" } \n",
            #"{"\u0074ype":"ch\u0061t","from":"x","channel":"room\u003a1","seq":9,"data":{"a":[1,2]},"id":7}"#,
        ] {
            try read(text) { result, bytes in
                let request = try result.get()
                #expect(request.kind == .chat)
                #expect(request.channel?.text(in: bytes) == "room:1")
                #expect(request.channel?.equals("room:1", in: bytes) == true)
                #expect(String(decoding: bytes[request.data!], as: UTF8.self) == #"{"a":[1,2]}"#)
                #expect(String(decoding: bytes[request.id!], as: UTF8.self) == "7")
            }
        }
    }

    @Test("to join says what was seen last")
    func since() throws {
        try read(#"{"type":"join","channel":"a","since":{ "seq" : 41 , "x":[{}], "epoch":"e1"},"id":"1"}"#) {
            result, bytes in
            let request = try result.get()
            #expect(request.since?.seq == 41)
            #expect(request.since?.epoch.text(in: bytes) == "e1")
        }
        for since in [
            "1", "{}", #"{"epoch":"e"}"#, #"{"epoch":1,"seq":1}"#, #"{"epoch":"e","seq":-1}"#,
            #"{"epoch":"e","seq":1.5}"#,
        ] {
            #expect(code(#"{"type":"join","channel":"a","since":\#(since)}"#) == .badMessage)
            // To others it means nothing.
            #expect(code(#"{"type":"leave","channel":"a","since":\#(since)}"#) == nil)
        }
    }

    @Test(
        "that is not understood is refused by its kind of mistake",
        arguments: [
            ("", RequestError.Code.badJSON), ("[]", .badJSON), ("1", .badJSON), ("{", .badJSON), ("{}x", .badJSON),
            (#"{"type":"ping","id":1,}"#, .badJSON), ("{\"a\":\"\u{1}\"}", .badJSON), ("{}", .badMessage),
            (#"{"type":1}"#, .badMessage), (#"{"type":"shout","id":1}"#, .unknownType),
            (#"{"type":"ping"}"#, .badMessage), (#"{"type":"presence"}"#, .badMessage),
            (#"{"type":"chat"}"#, .badMessage), (#"{"type":"chat","data":1,"data":2}"#, .badMessage),
            (#"{"type":"chat","data":1,"d\u0061ta":2}"#, .badMessage),
            (#"{"type":"chat","data":1,"id":""}"#, .badMessage), (#"{"type":"chat","data":1,"id":1.5}"#, .badMessage),
            (#"{"type":"chat","data":1,"id":null}"#, .badMessage),
            (#"{"type":"chat","data":1,"id":9007199254740992}"#, .badMessage),
            (#"{"type":"chat","data":1,"id":"\u0007"}"#, .badMessage),
            (#"{"type":"join","channel":""}"#, .badChannel), (#"{"type":"join","channel":7}"#, .badChannel),
            (#"{"type":"join","channel":"a\nb"}"#, .badChannel), (#"{"type":"join","channel":"\u0085"}"#, .badChannel),
            (#"{"type":"join","channel":"\ud800"}"#, .badChannel),
            ("{\"type\":\"join\",\"channel\":\"\u{7F}\"}", .badChannel),
            (#"{"type":"history","id":1,"limit":0}"#, .badMessage),
            (#"{"type":"history","id":1,"limit":1001}"#, .badMessage),
            (#"{"type":"history","id":1,"before":-1}"#, .badMessage), (#"{"type":"refresh"}"#, .badMessage),
        ])
    func refused(text: String, code: RequestError.Code) {
        #expect(self.code(text) == code)
    }

    @Test("that fails is named by its id, wherever that stands")
    func idOfFailure() {
        for text in [
            #"{"type":"nope","id":"x1"}"#, #"{"id":"x1","type":"chat"}"#, #"{"channel":7,"type":"join","id":"x1"}"#,
        ] {
            read(text) { result, bytes in
                guard case .failure(let error) = result, let id = error.id else {
                    Issue.record("\(text): \(result)")
                    return
                }
                #expect(String(decoding: bytes[id], as: UTF8.self) == "\"x1\"")
            }
        }
    }

    @Test(
        "may have ids that are strings of 64 bytes or whole numbers",
        arguments: ["0", "-1", "9007199254740991", "-9007199254740991"])
    func ids(id: String) {
        #expect(code("{\"type\":\"ping\",\"id\":\(id)}") == nil)
        #expect(code("{\"type\":\"ping\",\"id\":\"\(String(repeating: "é", count: 32))\"}") == nil)
        #expect(code("{\"type\":\"ping\",\"id\":\"\(String(repeating: "é", count: 32))x\"}") == .badMessage)
    }

    @Test(
        "knows a member by its whole name, however it is written",
        arguments: [
            (#"{"type":"ping","id":1}"#, true), (#"{"t\u0079pe":"ping","\u0069\u0064":1}"#, true),
            (#"{"type\u0000":"ping","id":1}"#, false), (#"{"typ":"ping","typf":0,"typex":0,"id":1}"#, false),
            (#"{"type":"ping","id\u0000":1}"#, false), (#"{"Type":"ping","id":1}"#, false),
            (#"{"type":"ping","id":1,"id\u0000":2,"":3,"datx":4,"datx":5,"typetypetype":6}"#, true),
            (#"{"type":"ping","id":1,"\u0069d":2}"#, false),
        ])
    func memberNames(text: String, isGood: Bool) {
        #expect(code(text) == (isGood ? nil : .badMessage))
    }

    @Test("finds every control character in a name, and nothing else")
    func controls() {
        let controls = (0x00...0x1F).map { $0 } + Array(0x7F...0x9F)
        for value in Array(0x00...0x200) + [0x2028, 0x3080, 0xFFFD, 0x1F600] as [UInt32] {
            guard let scalar = Unicode.Scalar(value), ![0x22, 0x5C].contains(value) else { continue }
            let escape =
                "\\u" + String(repeating: "0", count: 4 - min(4, String(value, radix: 16).count))
                + String(value, radix: 16)
            for name in (value < 0x20 ? [] : ["a\(scalar)"]) + (value < 0x10000 ? ["a\(escape)é"] : []) {
                let isGood = !controls.contains(Int(value))
                #expect(code("{\"type\":\"join\",\"channel\":\"\(name)\"}") == (isGood ? nil : .badChannel), "\(value)")
                #expect(code("{\"type\":\"ping\",\"id\":\"\(name)\"}") == (isGood ? nil : .badMessage), "\(value)")
            }
        }
    }

    @Test(
        "says at most 32 scalars of a type that does not exist, however few characters they are",
        arguments: ["e" + String(repeating: "\u{301}", count: 1_000), String(repeating: "🎉", count: 1_000)])
    func unknownTypeIsCut(type: String) {
        let shown = String(String.UnicodeScalarView(type.unicodeScalars.prefix(32)))
        Array("{\"type\":\"\(type)\"}".utf8).withUnsafeBytes {
            guard case .failure(let error) = RequestReader.read($0) else { return #expect(Bool(false)) }
            #expect(error.code == .unknownType)
            #expect(error.message.utf8.starts(with: "the type \"\(shown)\" does not exist".utf8))
        }
    }

    @Test("names a channel of 1 to 255 bytes")
    func channelLength() {
        for (name, isGood) in [
            (String(repeating: "x", count: 255), true), (String(repeating: "x", count: 256), false),
            (String(repeating: "é", count: 127) + "x", true), (String(repeating: "é", count: 128), false),
            ("räume 🎉", true),
        ] {
            #expect(code("{\"type\":\"join\",\"channel\":\"\(name)\"}") == (isGood ? nil : .badChannel))
        }
    }

    @Test("cut off anywhere is no JSON, and no byte of it can do harm")
    func damage() throws {
        let text = Array(
            #"{"type":"join","id":"a\u00e9\n","channel":"räume","since":{"epoch":"e","seq":12},"x":[-1.5e+3,true,null]}"#
                .utf8)
        for count in 0..<text.count {
            text[..<count].withUnsafeBytes { bytes in
                guard case .failure(let error) = RequestReader.read(bytes) else {
                    Issue.record("cut at \(count)")
                    return
                }
                #expect(error.code == .badJSON)
            }
        }
        var generator = Seeded(seed: 7)
        var refused = 0
        for position in text.indices {
            for _ in 0..<8 {
                var damaged = text
                damaged[position] = UInt8.random(in: 0...255, using: &generator)
                damaged.withUnsafeBytes { if case .failure = RequestReader.read($0) { refused += 1 } }
            }
        }
        #expect(refused > text.count)
    }
}
