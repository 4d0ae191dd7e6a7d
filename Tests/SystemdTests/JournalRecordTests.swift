import Logging
import Testing

@testable import Systemd

@Suite struct JournalRecordTests {
    @Test func anEventBecomesFields() {
        let fields = record(
            "connection closed", level: .warning,
            metadata: ["connection": "42", "channel": "lobby", "userAgent": "curl 8"]
        )
        #expect(
            fields.prefix(6) == [
                #"MESSAGE=connection closed channel=lobby connection=42 userAgent="curl 8""#,
                "PRIORITY=4",
                "SYSLOG_IDENTIFIER=wsd",
                "CODE_FILE=wsd/Main.swift",
                "CODE_LINE=7",
                "CODE_FUNC=run()",
            ])
        #expect(fields.dropFirst(6).sorted() == ["WSD_CHANNEL=lobby", "WSD_CONNECTION=42", "WSD_USER_AGENT=curl 8"])
    }

    @Test func valuesAreKeptByteForByteInTheirField() {
        let fields = record("m", level: .info, metadata: ["path": "/a\nPRIORITY=0\u{0}b"])
        #expect(fields.contains("WSD_PATH=/a\nPRIORITY=0\u{0}b"))
        #expect(fields.contains("PRIORITY=6"))
        #expect(!fields.contains { $0.hasPrefix("PRIORITY=0") })
    }

    @Test(arguments: [
        ("connection", "WSD_CONNECTION"), ("user-agent", "WSD_USER_AGENT"), ("userAgent", "WSD_USER_AGENT"),
        ("peerIP", "WSD_PEER_IP"), ("HTTPStatus", "WSD_HTTP_STATUS"), ("http.status_code", "WSD_HTTP_STATUS_CODE"),
        ("__x__", "WSD_X"), ("größe=1", "WSD_GR_E_1"), ("ipv6Address", "WSD_IPV6_ADDRESS"),
    ])
    func keysBecomeFieldNames(key: String, name: String) {
        #expect(JournalRecord.fieldName(key) == name)
    }

    @Test func longKeysAreCutToWhatTheJournalTakes() {
        #expect(JournalRecord.fieldName(String(repeating: "k", count: 100)).count == 64)
    }

    private func record(_ message: Logger.Message, level: Logger.Level, metadata: Logger.Metadata) -> [String] {
        let event = LogEvent(
            level: level, message: message, metadata: nil, source: nil, file: "wsd/Main.swift", function: "run()",
            line: 7)
        return JournalRecord(event, metadata: metadata, identifier: "wsd").fields.map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
