import FoundationEssentials

/// A call with its envelope parsed; the parameters are left to the method that knows their type.
package struct VarlinkCall: Sendable {
    /// The method's full name, such as `io.wsd.Control.Kick`.
    package let method: String
    /// Whether the caller accepts more than one reply.
    package let more: Bool
    /// Whether the caller wants no reply at all.
    package let oneway: Bool
    /// Whether the caller wants to use another protocol after the reply.
    package let upgrade: Bool
    /// The caller's description of itself.
    package let client: ClientClaim?
    /// The complete message, from which the parameters are parsed in a second step.
    private let message: [UInt8]

    /// The message isn't a call: it is not JSON, not an object, has no method, or has flags that aren't booleans.
    package struct Malformed: Error {
        /// The reason.
        package let reason: String
    }

    /// Parses the envelope of a message. Unknown keys are ignored, because vendors may add their own.
    package init(message: [UInt8]) throws(Malformed) {
        let envelope: Envelope
        do {
            envelope = try VarlinkJSON.decode(Envelope.self, from: message)
        } catch {
            throw Malformed(reason: VarlinkJSON.reason(error))
        }
        method = envelope.method
        more = envelope.more ?? false
        oneway = envelope.oneway ?? false
        upgrade = envelope.upgrade ?? false
        client = (try? VarlinkJSON.decode(Claim.self, from: message))?.client
        self.message = message
    }

    /// The parameters in the method's type; absent, null and `{}` are the same.
    ///
    /// - Throws: `InvalidParameter` with the name of a parameter that is missing, of the wrong type or unknown.
    package func parameters<Parameters: VarlinkParameters>(
        as type: Parameters.Type = Parameters.self
    ) throws(VarlinkError) -> Parameters {
        do {
            let body = try VarlinkJSON.decode(Body<StrictParameters<Parameters>>.self, from: message)
            if let parameters = body.parameters { return parameters.value }
            let empty = Array(#"{"parameters":{}}"#.utf8)
            return try VarlinkJSON.decode(RequiredBody<Parameters>.self, from: empty).parameters
        } catch let error as DecodingError {
            let name = error.parameterName
            throw .invalidParameter(name == Self.wholeName ? culprit(type) ?? name : name)
        } catch {
            throw .invalidParameter(Self.wholeName)
        }
    }

    /// The name for the parameters as a whole.
    static let wholeName = "parameters"

    /// The invalid parameter if the decoder doesn't name it, as for a number that doesn't fit its type, such as 1.5 for
    /// an integer: it is the parameter whose removal makes that error disappear.
    private func culprit<Parameters: VarlinkParameters>(_ type: Parameters.Type) -> String? {
        guard let values = try? VarlinkJSON.decode(Body<[String: VarlinkValue]>.self, from: message).parameters else {
            return nil
        }
        return values.keys.sorted().first { name in
            let others = values.filter { $0.key != name }
            guard let text = try? VarlinkJSON.encode(["parameters": others]) else { return false }
            do {
                _ = try VarlinkJSON.decode(RequiredBody<Parameters>.self, from: Array(text))
                return true
            } catch {
                return (error as? DecodingError)?.parameterName != Self.wholeName
            }
        }
    }

    private struct Envelope: Decodable {
        let method: String
        let more: Bool?
        let oneway: Bool?
        let upgrade: Bool?
    }

    /// Decoded separately: an invalid claim is treated like none.
    private struct Claim: Decodable {
        let client: ClientClaim?

        enum CodingKeys: String, CodingKey { case client = "io.wsd.client" }
    }

    private struct Body<Parameters: Decodable>: Decodable {
        let parameters: Parameters?
    }

    private struct RequiredBody<Parameters: Decodable>: Decodable {
        let parameters: Parameters
    }
}
