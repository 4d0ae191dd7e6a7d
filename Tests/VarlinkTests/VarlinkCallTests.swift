import Testing
import Varlink

private struct Parameters: VarlinkParameters {
    enum CodingKeys: String, CodingKey, CaseIterable { case name, count, inner }

    struct Inner: Codable, Sendable {
        enum CodingKeys: String, CodingKey, CaseIterable { case values }

        var values: [String]

        init(from decoder: any Decoder) throws {
            try decoder.rejectUnknownKeys(besides: CodingKeys.self)
            values = try decoder.container(keyedBy: CodingKeys.self).decode([String].self, forKey: .values)
        }
    }

    var name: String
    var count: Int?
    var inner: Inner?
}

@Suite("A call")
struct VarlinkCallTests {
    private func call(_ text: String) throws -> VarlinkCall {
        try VarlinkCall(message: Array(text.utf8))
    }

    @Test("has flags that are off unless they are set, and ignores what vendors add")
    func envelope() throws {
        let plain = try call(#"{"method":"a.b.C","com.example.trace":{"id":1}}"#)
        #expect(plain.method == "a.b.C")
        #expect(!plain.more && !plain.oneway && !plain.upgrade)
        let full = try call(#"{"method":"a.b.C","more":true,"oneway":true,"upgrade":true,"parameters":{}}"#)
        #expect(full.more && full.oneway && full.upgrade)
        #expect(try !call(#"{"method":"a.b.C","more":null,"oneway":false}"#).more)
    }

    @Test(
        "is malformed unless it is an object with a method and flags that are true or false",
        arguments: [
            "", "nonsense", "[]", "1", "\"a.b.C\"", "{}", #"{"method":5}"#, #"{"method":"a.b.C","more":1}"#,
            #"{"method":"a.b.C"} trailing"#, #"{"method":"a.b.C""#, String(repeating: "[", count: 100_000),
        ])
    func malformed(_ text: String) {
        #expect(throws: VarlinkCall.Malformed.self) { try call(text) }
    }

    @Test(
        "takes absent, null and empty parameters for the same",
        arguments: [
            #"{"method":"a.b.C"}"#, #"{"method":"a.b.C","parameters":null}"#, #"{"method":"a.b.C","parameters":{}}"#,
        ])
    func noParameters(_ text: String) throws {
        let call = try call(text)
        #expect(throws: Never.self) { try call.parameters(as: NoParameters.self) }
        #expect(throws: VarlinkError.invalidParameter("name")) { try call.parameters(as: Parameters.self) }
    }

    @Test("gives its parameters as the type of the method, null being absent")
    func parameters() throws {
        let call = try call(#"{"method":"a.b.C","parameters":{"name":"x","count":null,"inner":{"values":["y"]}}}"#)
        let parameters = try call.parameters(as: Parameters.self)
        #expect(parameters.name == "x")
        #expect(parameters.count == nil)
        #expect(parameters.inner?.values == ["y"])
    }

    @Test(
        "names the parameter that is missing, of another type, out of range or unknown",
        arguments: [
            (#"{"count":1}"#, "name"),
            (#"{"name":null}"#, "name"),
            (#"{"name":5}"#, "name"),
            (#"{"name":"x","count":"1"}"#, "count"),
            (#"{"name":"x","count":1.5}"#, "count"),
            (#"{"name":"x","count":99999999999999999999}"#, "count"),
            (#"{"name":"x","zzz":1,"extra":2}"#, "extra"),
            (#"{"name":"x","inner":{}}"#, "inner.values"),
            (#"{"name":"x","inner":{"values":["a",2]}}"#, "inner.values[1]"),
            (#"{"name":"x","inner":{"values":[],"more":true}}"#, "inner.more"),
            (#"[1]"#, "parameters"),
            (#""name""#, "parameters"),
        ])
    func invalidParameter(_ parameters: String, _ name: String) throws {
        let call = try call(#"{"method":"a.b.C","parameters":\#(parameters)}"#)
        #expect(throws: VarlinkError.invalidParameter(name)) { try call.parameters(as: Parameters.self) }
    }

    @Test("that takes nothing refuses everything")
    func nothingTaken() throws {
        let call = try call(#"{"method":"a.b.C","parameters":{"x":1}}"#)
        #expect(throws: VarlinkError.invalidParameter("x")) { try call.parameters(as: NoParameters.self) }
    }
}
