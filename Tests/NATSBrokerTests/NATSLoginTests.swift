import Base
import Broker
import BrokerSupport
import Glibc
import Testing

@testable import NATSBroker

extension NATSTests {
    /// The ways to log in, and TLS.
    @Suite struct Login {
        private static let seed = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
        private static let other = "SUAACAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAFQQ"

        private func works(_ fixture: NATSFixture, _ change: (inout NATSBroker.Options) -> Void) async throws {
            let node = fixture.node(prefix: "t", change)
            try await node.isUp()
            try await node.subscribe("c")
            try await node.publishAndWait("c", ["m1"])
            try await node.record.wait("m1") { $0.seen["c"]?.last == "m1" ? () : nil }
            await BrokerConformance.end([node])
        }

        private func fails(
            _ fixture: NATSFixture, _ expected: String, _ change: (inout NATSBroker.Options) -> Void
        ) async throws {
            let node = fixture.node(prefix: "t", change)
            let reason = try await node.isDown { !$0.contains("yet") && !$0.contains("closed the connection") }
            #expect(reason.contains(expected), "\(reason)")
            await node.broker.stop(within: .zero)
        }

        @Test("A user with a password")
        func user() async throws {
            try await NATSFixture.with(["authorization { user: ada, password: \"s\\\"ecret\" }"]) { fixture in
                try await works(fixture) { $0.login = .user("ada", password: "s\"ecret") }
                try await fails(fixture, "the user ada or the password is not what it knows") {
                    $0.login = .user("ada", password: "other")
                }
                try await fails(fixture, "no user is given") { _ in }
            }
        }

        @Test func token() async throws {
            try await NATSFixture.with(["authorization { token: \"t0ken\" }"]) { fixture in
                try await works(fixture) { $0.login = .token("t0ken") }
                try await fails(fixture, "the token is not what it knows") { $0.login = .token("x") }
            }
        }

        @Test("A key of the user's own signs what the server gives")
        func key() async throws {
            let key = try NATSKey(seed: Self.seed)
            try await NATSFixture.with(["authorization { users: [ { nkey: \(key.publicText) } ] }"]) { fixture in
                try await works(fixture) { $0.login = .key(key, jwt: nil) }
                try await fails(fixture, "no user is given") { _ in }
            }
        }

        @Test("A password that changes is told, and taken again when it is right")
        func changedPassword() async throws {
            func lines(_ password: String) -> [String] {
                ["max_payload: 8MB", "authorization { user: ada, password: \(password) }"]
            }
            try await NATSFixture.with(["authorization { user: ada, password: right }"]) { fixture in
                let node = fixture.node { $0.login = .user("ada", password: "right") }
                try await node.isUp()
                try fixture.server.reload(lines("wrong"))
                let reason = try await node.isDown { $0.contains("password") }
                #expect(reason.contains("refused the login: Authorization Violation"), "\(reason)")
                try fixture.server.reload(lines("right"))
                try await node.isUp()
                await BrokerConformance.end([node])
            }
        }

        @Test("A user who may not do something is told what")
        func permissions() async throws {
            let lines = [
                "authorization { users: [ { user: ada, password: x, permissions: { publish: [\"_INBOX.>\"], "
                    + "subscribe: [\">\"] } } ] }"
            ]
            try await NATSFixture.with(lines) { fixture in
                try await fails(fixture, "Permissions Violation for Publish") { $0.login = .user("ada", password: "x") }
            }
        }

        @Test("A user with these rights, and no others, is enough")
        func rights() async throws {
            let (publish, subscribe) = NATSBroker.permissions(prefix: "t")
            let lists = [publish, subscribe].map { $0.map { "\"\($0)\"" }.joined(separator: ", ") }
            let lines = [
                "authorization { users: [ { user: ada, password: x, permissions: { publish: [\(lists[0])], "
                    + "subscribe: [\(lists[1])] } } ] }"
            ]
            try await NATSFixture.with(lines) { options in
                options.login = .user("ada", password: "x")
            } body: { fixture in
                let nodes = try await fixture.nodes(2)
                for node in nodes { try await node.subscribe("c", history: BrokerConformance.limits) }
                try await nodes[0].publishAndWait("c", ["m1"], history: BrokerConformance.limits)
                try await nodes[0].publishAndWait("c", ["b"], kind: .binary, history: BrokerConformance.limits)
                BrokerConformance.change(nodes[0], "c", "ada")
                try await nodes[1].record.sees("c", ["m1", "b", "+ada"])
                try await nodes[1].comesBack { try await fixture.cutDeliveries() }
                try await BrokerConformance.hasMembers(nodes[1], "c", ["ada": 1])
                await BrokerConformance.end([nodes[0]])
                try await nodes[1].record.sees("c", ["m1", "b", "+ada", "-ada"])
                #expect(nodes[1].record.now.healths.allSatisfy { !"\($0)".contains("Permissions") })
                await BrokerConformance.end([nodes[1]])
            }
        }

        /// The lines of a configuration with a user who may do all but subscribe one of the subjects of the manual.
        private func lines(without subject: String) -> [String] {
            let (publish, subscribe) = NATSBroker.permissions(prefix: "t")
            let lists = [publish, subscribe.filter { $0 != subject }].map { subjects in
                subjects.map { "\"\($0)\"" }.joined(separator: ", ")
            }
            return [
                "authorization { users: [ { user: root, password: x }, { user: ada, password: x, permissions: { "
                    + "publish: [\(lists[0])], subscribe: [\(lists[1])] } } ] }\nno_auth_user: root"
            ]
        }

        @Test("A node that may not hear the others is down for good, and takes nobody for gone")
        func deaf() async throws {
            try await NATSFixture.with(lines(without: "t.beat")) { fixture in
                let node = fixture.node()
                try await node.isUp()
                try await node.subscribe("c")
                BrokerConformance.change(node, "c", "ada")
                try await node.record.sees("c", ["+ada"])
                let deaf = fixture.node {
                    $0.node = NodeID(rawValue: 1)
                    $0.login = .user("ada", password: "x")
                    $0.presenceTTL = .milliseconds(500)
                }
                let reason = try await deaf.isDown { $0.contains("Permissions") }
                #expect(reason.contains("Permissions Violation for Subscription to \"t.beat\""), "\(reason)")
                // Several times what takes a node that is not heard of for gone.
                try await Task.sleep(for: .seconds(3))
                #expect(!deaf.record.now.healths.contains(.up))
                #expect(node.record.seen("c") == ["+ada"])
                try await BrokerConformance.hasMembers(node, "c", ["ada": 1])
                await BrokerConformance.end([node, deaf])
            }
        }

        @Test("A user who may not hear of those who are back, as before there were any, is served")
        func olderRights() async throws {
            try await NATSFixture.with(lines(without: "t.back")) { fixture in
                try await works(fixture) { $0.login = .user("ada", password: "x") }
            }
        }

        @Test("TLS, with the server's certificate and name checked, and a client's certificate")
        func tls() async throws {
            let authority = try TestAuthority()
            let certificate = try authority.certificate("localhost", for: "DNS:localhost")
            let client = try authority.certificate("client", for: "DNS:client")
            let files =
                "cert_file: \"\(certificate.file)\", key_file: \"\(certificate.keyFile)\", "
                + "ca_file: \"\(authority.file)\", verify: true"
            try await NATSFixture.with(["tls { \(files) }"]) { fixture in
                let port = fixture.server.port
                func options(_ host: String, _ tls: BrokerTLS?) -> (inout NATSBroker.Options) -> Void {
                    { options in
                        options.servers = [NATSAddress(host: host, port: port)]
                        options.tls = tls
                    }
                }
                let right = BrokerTLS(
                    authorityFile: authority.file, certificateFile: client.file, keyFile: client.keyFile)
                try await works(fixture, options("localhost", right))
                var byAddress = right
                byAddress.serverName = "localhost"
                try await works(fixture, options("127.0.0.1", byAddress))
                var unknown = right
                unknown.authorityFile = nil
                var missing = right
                missing.authorityFile = authority.file + ".none.pem"
                try await fails(
                    fixture, "has a certificate that nobody whom this machine trusts vouches for",
                    options("localhost", unknown))
                try await fails(fixture, "has a certificate for another name", options("127.0.0.1", right))
                try await fails(fixture, "none.pem: No such file or directory", options("localhost", missing))
                try await fails(fixture, "asks for TLS; write tls:// in broker.url", options("localhost", nil))
            }
            try await NATSFixture.with { fixture in
                try await fails(fixture, "does not use TLS") { $0.tls = BrokerTLS() }
            }
        }
    }
}
