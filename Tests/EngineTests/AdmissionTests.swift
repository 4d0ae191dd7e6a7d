import Base
import Testing

@testable import Engine

@Suite("Admission")
struct AdmissionTests {
    private func admission(perAddress: Int, exemptsLoopback: Bool = false) -> Admission {
        Admission(maximum: 100, maximumPerAddress: perAddress, exemptsLoopback: exemptsLoopback)
    }

    private func isAdmitted(_ answer: Admission.Answer) -> Bool {
        if case .admitted = answer { true } else { false }
    }

    @Test("counts an IPv6 network of /64 as one client, and IPv4 addresses singly")
    func networks() throws {
        let admission = admission(perAddress: 2)
        let inside = try (1...3).map { try #require(IPAddress("2001:db8:1:2::\($0)")) }
        #expect(isAdmitted(admission.admit(inside[0])))
        #expect(isAdmitted(admission.admit(inside[1])))
        #expect(!isAdmitted(admission.admit(inside[2])))
        #expect(isAdmitted(admission.admit(try #require(IPAddress("2001:db8:1:3::1")))))
        for last in 1...3 { #expect(isAdmitted(admission.admit(try #require(IPAddress("192.0.2.\(last)"))))) }
        admission.leave(inside[0], isCounted: true)
        #expect(isAdmitted(admission.admit(inside[2])))
    }

    @Test("bounds the connections of an address that are opening, together with those that are open")
    func opening() throws {
        let admission = admission(perAddress: 20)
        let address = try #require(IPAddress("192.0.2.1"))
        for _ in 0..<10 { #expect(isAdmitted(admission.begin(address, isProxy: false))) }
        for _ in 0..<10 { #expect(isAdmitted(admission.admit(address))) }
        #expect(!isAdmitted(admission.begin(address, isProxy: false)))
        // A proxy's own address says nothing of its clients.
        #expect(isAdmitted(admission.begin(address, isProxy: true)))
        admission.endOpening(address, isCounted: true)
        #expect(isAdmitted(admission.begin(address, isProxy: false)))
        #expect(!isAdmitted(admission.admit(address)), "ten that open and ten that are open")
    }

    @Test("lets a browser of an address with a small limit begin its connections")
    func small() throws {
        let admission = admission(perAddress: 2)
        let address = try #require(IPAddress("192.0.2.1"))
        for _ in 0..<8 { #expect(isAdmitted(admission.begin(address, isProxy: false))) }
        #expect(!isAdmitted(admission.begin(address, isProxy: false)))
    }

    @Test("bounds the connections of an address that have their answer and are not closed")
    func ending() throws {
        let admission = admission(perAddress: 10)
        let address = try #require(IPAddress("192.0.2.1"))
        for _ in 0..<10 {
            #expect(isAdmitted(admission.begin(address, isProxy: false)))
            admission.endOpening(address, isCounted: true)
            #expect(admission.beginEnding(address, isProxy: false))
        }
        #expect(!admission.beginEnding(address, isProxy: true))
        #expect(!isAdmitted(admission.begin(address, isProxy: false)))
        #expect(isAdmitted(admission.begin(try #require(IPAddress("192.0.2.2")), isProxy: false)))
        #expect(isAdmitted(admission.admit(address)))
        admission.endEnding(address)
        #expect(isAdmitted(admission.begin(address, isProxy: false)))
    }

    @Test("bounds all connections that are opening, with room for some that are refused with a reason")
    func total() throws {
        let admission = admission(perAddress: 0)
        let address = try #require(IPAddress("192.0.2.1"))
        for _ in 0..<164 { #expect(isAdmitted(admission.begin(address, isProxy: false))) }
        #expect(!isAdmitted(admission.begin(address, isProxy: false)))
    }

    @Test("leaves loopback alone where nobody chose the limit")
    func loopback() throws {
        let admission = admission(perAddress: 1, exemptsLoopback: true)
        for text in ["127.0.0.1", "127.9.9.9", "::1"] {
            let address = try #require(IPAddress(text))
            for _ in 0..<3 { #expect(isAdmitted(admission.admit(address))) }
        }
        let other = try #require(IPAddress("192.0.2.1"))
        #expect(isAdmitted(admission.admit(other)))
        #expect(!isAdmitted(admission.admit(other)))
    }
}
