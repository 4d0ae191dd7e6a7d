import Base
import Control
import Operations
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
        let restart = RestartReport(adopted: 0, handshakes: 0, closed: 0, problem: "", silentSeconds: 0, phases: [:])
        var status = HubStatus(
            pid: 0, state: .draining, notReady: "", startedAt: "", uptimeSeconds: 0, connections: 0, maxConnections: 0,
            connectionsPerWorker: [], accepted: 0, refused: [:], closed: [:], messagesIn: 0, messagesOut: 0, bytesIn: 0,
            bytesOut: 0, queuedBytes: 0, slowConsumers: 0, listeners: [], configurationFiles: [],
            pendingRestart: [], unusedKeys: [], notices: [], consumers: [], lastRestart: restart, drain: drain)
        let certificate = CertificateStatus(names: [], keyKind: "", expiresAt: "")
        status.certificates = [certificate]
        let recovered = RecoveryReport(channels: 0, messages: 0, takenAt: "", problem: "")
        status.recovered = recovered
        #expect(try fields(of: "RecoveryReport", in: description) == members(recovered))
        #expect(try fields(of: "CertificateStatus", in: description) == members(certificate))
        let consumer = ConsumerStatus(
            source: "", stream: "", group: "", state: .down, reader: "", problem: "", published: 0, rejected: 0, lag: 0,
            pending: 0)
        #expect(try fields(of: "ConsumerStatus", in: description) == members(consumer))
        #expect(try fields(of: "HubStatus", in: description) == members(status))
        #expect(try fields(of: "MemoryStatus", in: description) == members(MemoryStatus()))
        #expect(try fields(of: "DrainProgress", in: description) == members(drain))
        #expect(try fields(of: "RestartReport", in: description) == members(restart))
    }

    /// The declaration of each row with all that it can have.
    private static let rows: [(type: String, row: any Sendable)] = {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        let connection = ConnectionRow(
            id: ConnectionID(worker: 0, slot: 0, number: 0), address: .loopback, port: 0, endpoint: "", protocol: "",
            channels: [], connectedSince: time, idleSeconds: 0, messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0,
            queuedBytes: 0, droppedMessages: 0, state: .closing)
        return [
            ("Connection", connection), ("Event", Event(.close, millisecondsSinceEpoch: 0)),
            ("OtherEvents", Event.Others(count: 0, first: time, last: time, sameAddress: true)),
            ("Channel", ChannelRow(name: "", connections: 0)),
            ("BusyChannel", BusyChannel(name: "", messagesPerSecond: 0, messages: 0)),
            ("Node", NodeRow(name: "", id: "", isThis: true, version: "", addresses: [], since: time)),
            ("ChannelUser", ChannelUser(user: "", connections: 0, since: time)),
        ]
    }()

    @Test("has the fields of each row, in their order and with their types")
    func rows() throws {
        for (type, row) in Self.rows {
            let described = try typedFields(of: type, in: ControlInterface.controlDescription)
            #expect(described == Field.all(of: row), "\(type)")
        }
        #expect(
            fields(of: "ConnectionFilter", in: ControlInterface.controlDescription)
                == Set(ConnectionFilter.CodingKeys.allCases.map(\.stringValue)))
    }

    /// The fields of a type with their types, as a description has them.
    private func typedFields(of type: String, in description: String) throws -> [Field] {
        let code = description.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") }.joined()
        let start = try #require(code.firstRange(of: "type \(type) ("))
        return try code[start.upperBound...].prefix { $0 != ")" }.split(separator: ",").map { declaration in
            let parts = declaration.split(separator: ":").map { $0.filter { $0 != " " } }
            try #require(parts.count == 2, "\(declaration)")
            let kind: Field.Kind =
                switch parts[1].drop(while: { $0 == "?" }) {
                case "int": .integer
                case "float": .number
                case "bool": .boolean
                case "string", "ConnectionState", "EventKind", "HubState": .string
                case let type where type.hasPrefix("[]"): .array
                default: .object
                }
            return Field(name: parts[0], kind: kind, isOptional: parts[1].hasPrefix("?"))
        }
    }

    @Test("has the parameters and the replies of the methods that all nodes can answer, and no other")
    func parameters() throws {
        for (method, parameters, reply) in [
            ("List", names(List.Parameters.self), ["connections", "next", "silent"]),
            ("Show", names(Show.Parameters.self), ["connection", "silent"]),
            ("Kick", names(Kick.Parameters.self), ["connections", "silent"]),
            ("Broadcast", names(Broadcast.Parameters.self), ["recipients", "epoch", "seq", "silent"]),
            ("ListChannels", names(ListChannels.Parameters.self), ["channels", "next", "silent"]),
            ("Why", names(Why.Parameters.self), ["events", "silent"]),
            ("Nodes", [], ["nodes", "silent"]),
        ] as [(String, [String], [String])] {
            let described = try described(method)
            #expect(described.parameters == parameters && described.reply == reply, "\(method)")
        }
        let page = ConnectionPage(connections: [], next: "", silent: [])
        #expect(try members(page) == ["connections", "next", "silent"])
        #expect(
            try members(PublishResult(recipients: 0, epoch: "", seq: 0, silent: []))
                == ["recipients", "epoch", "seq", "silent"])
        #expect(try members(Kick.Reply(connections: 0, silent: [])) == ["connections", "silent"])
        #expect(try members(Why.Reply(events: [], silent: [])) == ["events", "silent"])
        #expect(try members(ListChannels.Reply(channels: [], next: "", silent: [])) == ["channels", "next", "silent"])
        #expect(try members(Nodes.Reply(nodes: [], silent: [])) == ["nodes", "silent"])
    }

    private func names<Parameters: VarlinkParameters>(_ type: Parameters.Type) -> [String] {
        Parameters.CodingKeys.allCases.map(\.stringValue)
    }

    /// The names of a method's parameters, and of the members of its reply.
    private func described(_ method: String) throws -> (parameters: [String], reply: [String]) {
        let code = ControlInterface.controlDescription.split(separator: "\n")
            .filter { !$0.drop { $0 == " " }.hasPrefix("#") }.joined()
        let start = try #require(code.firstRange(of: "method \(method)("))
        let rest = code[start.upperBound...]
        let parameters = rest.prefix { $0 != ")" }
        let reply = rest.dropFirst(parameters.count).drop { $0 != "(" }.dropFirst().prefix { $0 != ")" }
        func names(_ text: Substring) -> [String] {
            text.split(separator: ",").compactMap { field in
                let name = field.prefix { $0 != ":" }.filter { $0 != " " }
                return name.isEmpty ? nil : name
            }
        }
        return (names(parameters), names(reply))
    }

    @Test("names every kind of event and state of a connection")
    func choices() {
        let kinds = Event.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        #expect(ControlInterface.controlDescription.contains("type EventKind (\(kinds))"))
        let states = ConnectionRow.State.allCases.map(\.rawValue).joined(separator: ", ")
        #expect(ControlInterface.controlDescription.contains("type ConnectionState (\(states))"))
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
            "error ReasonTooLong ", "error MessageTooLarge ", "method Nodes(", "type Node ", "error NoBroker ",
            "error Unavailable ", "error Rejected ", "error QuestionTooLarge ",
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
