import Control
import Testing
import Varlink

@Suite("The description of an interface")
struct ControlInterfaceTests {
    /// Every value of `type Name (…)`'s fields that the text has, by name; comments left out.
    private func fields(of type: String, in description: String) -> Set<String> {
        var names: Set<String> = []
        var isInside = false
        for line in description.split(separator: "\n") {
            let line = line.drop { $0 == " " }
            if line.hasPrefix("type \(type) (") { isInside = true; continue }
            if isInside, line == ")" { break }
            if isInside, !line.hasPrefix("#"), let colon = line.firstIndex(of: ":") {
                names.insert(String(line[..<colon]))
            }
        }
        return names
    }

    /// The members of a value's JSON.
    private func members(_ value: some Encodable) throws -> Set<String> {
        let json = try VarlinkJSON.decode(VarlinkValue.self, from: Array(VarlinkJSON.encode(value)))
        guard case .object(let members) = json else { return [] }
        return Set(members.keys)
    }

    private static let descriptions = [ControlInterface.controlDescription, ControlInterface.statusDescription]

    @Test("names the fields that are sent to everybody", arguments: descriptions)
    func figures(_ description: String) throws {
        let drain = DrainProgress(startedAt: "", connectionsAtStart: 0, connectionsLeft: 0, secondsLeft: 0)
        let status = HubStatus(
            pid: 0, state: .draining, notReady: "", startedAt: "", uptimeSeconds: 0, connections: 0, maxConnections: 0,
            connectionsPerWorker: [], accepted: 0, refused: [:], closed: [:], messagesIn: 0, messagesOut: 0, bytesIn: 0,
            bytesOut: 0, queuedBytes: 0, slowConsumers: 0, listeners: [], configurationFiles: [],
            pendingRestart: [], unusedKeys: [], notices: [], drain: drain)
        #expect(try fields(of: "HubStatus", in: description) == members(status))
        #expect(try fields(of: "MemoryStatus", in: description) == members(MemoryStatus()))
        #expect(try fields(of: "DrainProgress", in: description) == members(drain))
    }

    @Test("names the fields that are sent to who may see clients")
    func fields() throws {
        let description = ControlInterface.controlDescription
        let connection = ConnectionInfo(
            id: "", address: "", port: 0, endpoint: "", protocol: "", channels: [], user: "", userAgent: "",
            connectedSince: "", idleSeconds: 0, messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, queuedBytes: 0,
            queuedMessages: 0, droppedMessages: 0, state: .closing)
        #expect(try fields(of: "Connection", in: description) == members(connection))
        var event = Event(.close, millisecondsSinceEpoch: 0)
        (event.cause, event.code, event.text, event.id, event.address) = ("", 0, "", "", "")
        (event.endpoint, event.user, event.channels, event.connectedSince) = ("", "", [], "")
        (event.queuedBytes, event.droppedMessages) = (0, 0)
        let others = Event.Others(count: 0, first: "", last: "", sameAddress: true)
        event.more = others
        #expect(try fields(of: "OtherEvents", in: description) == members(others))
        #expect(try fields(of: "Event", in: description) == members(event))
        #expect(
            fields(of: "ConnectionFilter", in: description)
                == Set(ConnectionFilter.CodingKeys.allCases.map(\.stringValue)))
    }

    @Test("has every method and error, those that act or name clients not where everybody may look")
    func members() {
        #expect(ControlInterface.controlDescription.contains("method GetStatus("))
        #expect(ControlInterface.statusDescription.contains("method GetStatus("))
        for text in [
            "method List(", "method Show(", "method Top(", "method Why(", "method Monitor(", "method ListChannels(",
            "method ShowChannel(", "error NoSuchConnection ", "error InvalidFilter ", "type Connection ", "address:",
            "method Kick(", "method Broadcast(", "method Publish(", "method Drain(", "method Reload(",
            "method MakeToken(",
            "error ReloadFailed ", "error NoSigningKey ", "type Grant ", "error NothingSelected ",
            "error InvalidCloseCode ",
            "error ReasonTooLong ", "error MessageTooLarge ",
        ] {
            #expect(ControlInterface.controlDescription.contains(text))
            #expect(!ControlInterface.statusDescription.contains(text))
        }
    }

    @Test(
        "has no comma before a closing parenthesis, no tab and one newline at its end, for all the scanners out there",
        arguments: descriptions + [ServiceInterface.description])
    func scanners(_ description: String) {
        let code = description.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") }
        let text = code.joined().filter { $0 != " " }
        #expect(!text.contains(",)"))
        #expect(!description.contains("\t"))
        #expect(description.hasSuffix("\n") && !description.hasSuffix("\n\n"))
        // PyPI's varlink takes a closing parenthesis in a comment for the end of the parameters.
        for line in description.split(separator: "\n") where line.hasPrefix("    ") && line.contains("#") {
            #expect(!line.contains(")"), "\(line)")
        }
    }
}
