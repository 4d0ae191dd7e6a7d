import Settings
import Testing

@testable import Configuration

@Suite("Values must agree with each other")
struct AgreementTests {
    @Test("The drain's period ends before its timeout")
    func drain() {
        #expect(
            errors("[drain]\n  period = \"60s\"\n  timeout = \"30s\"") == [
                "f:2:3: drain.period: \"1m\" is longer than drain.timeout, \"30s\"; shorten it, or lengthen that"
            ])
        #expect(errors("[drain]\ntimeout = \"10s\"").isEmpty)
        #expect(errors("[drain]\nperiod = \"60s\"").isEmpty)
        #expect(errors("[drain]\nperiod = \"60s\"", "[drain]\ntimeout = \"1m\"").isEmpty)
        #expect(errors("[drain]\nperiod = \"0s\"\ntimeout = \"0s\"").isEmpty)
    }

    @Test("A value that is wrong by itself is not compared, and the others still are")
    func unclear() {
        #expect(errors("[drain]\nperiod = \"60s\"\ntimeout = \"x\"").map { $0.prefix(6) } == ["f:3:11"])
        #expect(
            errors("[drain]\nperiod = \"60s\"\ntimeout = \"1s\"\n[server]\nworkers = -1").map { $0.prefix(5) } == [
                "f:2:1", "f:5:1",
            ])
    }

    @Test("Each socket has a place of its own")
    func sockets() {
        #expect(
            errors("[control]\npath = \"/run/a\"\nstatus_path = \"/run/a\"") == [
                "f:3:1: control.status_path: \"/run/a\" is control.path, too; the one only reads, "
                    + "the other may do everything, so take two paths"
            ])
        #expect(errors("[control]\npath = \"\"\nstatus_path = \"\"").isEmpty)
        #expect(
            errors("[api]\nlisten = [\":8080\"]") == [
                "f:2:1: api.listen: \"[::]:8080\" is in server.listen, too; take another port for one of them"
            ])
        #expect(errors("[api]\nlisten = [\":0\"]\n[server]\nlisten = [\":0\"]").isEmpty)
    }

    @Test("Clients may all have to begin with TLS, where there is a certificate for it")
    func noPlainListener() {
        let error =
            "f:2:1: server.listen: nobody could connect without server.listen_tls, or tls.certificates and a socket named "
            + "\"wsd-tls\" from systemd; give an address, or one of these"
        let certificates = "[tls]\ncertificates = [{certificate = \"/c\", key = \"/k\"}]\n"
        #expect(errors("[server]\nlisten = []") == [error])
        #expect(errors("[server]\nlisten = []\nlisten_tls = [\":8443\"]\n" + certificates).isEmpty)
        #expect(errors("[server]\nlisten = []\n" + certificates).isEmpty)
    }

    @Test("An endpoint's path is its own")
    func duplicateEndpoints() {
        #expect(
            errors("[[endpoint]]\npath = \"/a\"\n[[endpoint]]\npath = \"/b\"\n[[endpoint]]\npath = \"/a\"") == [
                "f:6:1: endpoint.path: \"/a\" has an endpoint already (f:2); take another path"
            ])
    }

    @Test("What is no endpoint does not shift those that are")
    func brokenEndpoint() {
        #expect(
            errors("endpoint = [\n1,\n{path = \"/a\"},\n{path = \"/a\"}]") == [
                "f:2:1: endpoint: got the integer 1; each is a table with a path",
                "f:4:2: endpoint.path: \"/a\" has an endpoint already (f:3); take another path",
            ])
    }

    @Test("The burst is what may be sent in a second where it is not given")
    func burst() throws {
        #expect(try loaded("[limits]\nmessages_per_second = 7").configuration.limits.effectiveBurst == 7)
        #expect(try loaded("limits = {messages_per_second = 7, burst = 9}").configuration.limits.effectiveBurst == 9)
        #expect(Settings().limits.effectiveBurst == 0)
    }
}
