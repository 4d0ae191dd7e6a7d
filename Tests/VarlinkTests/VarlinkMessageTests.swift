import Testing
import Varlink

@Suite("A message")
struct VarlinkMessageTests {
    private func text(_ message: some Sequence<UInt8>) -> String {
        String(decoding: Array(message), as: UTF8.self)
    }

    @Test("is one object and a NUL, with flags only where they are set")
    func calls() throws {
        #expect(text(try VarlinkMessage.call("a.b.C", NoParameters())) == #"{"method":"a.b.C","parameters":{}}"# + "\0")
        #expect(
            text(try VarlinkMessage.call("a.b.C", ["x": 1], more: true))
                == #"{"method":"a.b.C","more":true,"parameters":{"x":1}}"# + "\0")
        #expect(
            text(try VarlinkMessage.call("a.b.C", ["x": 1], oneway: true))
                == #"{"method":"a.b.C","oneway":true,"parameters":{"x":1}}"# + "\0")
    }

    @Test("never has a NUL inside, whatever a string holds")
    func nul() throws {
        let message = Array(try VarlinkMessage.reply(["text": "a\0b"]))
        #expect(message.filter { $0 == 0 }.count == 1)
        #expect(message.last == 0)
    }

    @Test("says that others follow, or what went wrong")
    func replies() throws {
        #expect(
            text(try VarlinkMessage.reply(["x": 1], continues: true))
                == #"{"continues":true,"parameters":{"x":1}}"# + "\0")
        #expect(
            text(try VarlinkMessage.reply(.interfaceNotFound("a.b")))
                == #"{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"a.b"}}"# + "\0")
    }

    @Test(
        "that is a reply is read with or without parameters",
        arguments: ["{}", #"{"parameters":null}"#, #"{"parameters":{}}"#, #"{"parameters":{},"continues":false}"#])
    func bareReplies(_ text: String) throws {
        let reply = try VarlinkJSON.decode(VarlinkReply<NoParameters>.self, from: Array(text.utf8))
        #expect(!reply.continues)
        #expect(throws: Never.self) { try reply.result.get() }
    }

    @Test("that is an error is read with all it says")
    func errors() throws {
        let text = #"{"error":"a.b.Gone","parameters":{"id":"x","n":1,"f":1.5,"b":true,"l":[null],"o":{"k":"v"}}}"#
        let reply = try VarlinkJSON.decode(VarlinkReply<NoParameters>.self, from: Array(text.utf8))
        let expected = VarlinkError(
            name: "a.b.Gone",
            parameters: [
                "id": "x", "n": 1, "f": .float(1.5), "b": true, "l": .array([.null]), "o": .object(["k": "v"]),
            ])
        #expect(throws: expected) { try reply.result.get() }
        #expect(expected.string("id") == "x")
        #expect(expected.string("n") == nil)
    }

    @Test("names its standard errors as the specification does")
    func standardErrors() {
        let names = [
            VarlinkError.interfaceNotFound("i"), .methodNotFound("m"), .methodNotImplemented("m"),
            .invalidParameter("p"), .permissionDenied, .expectedMore,
        ].map(\.description)
        #expect(
            names == [
                "org.varlink.service.InterfaceNotFound(interface: i)", "org.varlink.service.MethodNotFound(method: m)",
                "org.varlink.service.MethodNotImplemented(method: m)",
                "org.varlink.service.InvalidParameter(parameter: p)", "org.varlink.service.PermissionDenied",
                "org.varlink.service.ExpectedMore",
            ])
    }

    @Test("splits the name of a method at its last dot")
    func methodNames() {
        #expect(MethodName("io.wsd.Control.Kick") == MethodName(interface: "io.wsd.Control", member: "Kick"))
        for name in ["", "Kick", ".Kick", "io.wsd.", "."] { #expect(MethodName(name) == nil) }
    }
}
