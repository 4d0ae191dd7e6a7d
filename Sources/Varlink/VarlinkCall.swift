import FoundationEssentials

/// A call as it came: the envelope read, the parameters left for whoever knows their type.
package struct VarlinkCall: Sendable {
    /// The method's full name, such as `io.wsd.Control.Kick`.
    package let method: String
    /// The caller takes more than one reply.
    package let more: Bool
    /// The caller wants no reply at all.
    package let oneway: Bool
    /// The caller wants to speak another protocol after the reply.
    package let upgrade: Bool
    /// What the caller says of itself.
    package let client: ClientClaim?
    /// The whole message, from which the parameters are read in a second step.
    private let message: [UInt8]

    /// The message isn't a call: not JSON, not an object, without a method, or flags that aren't true or false.
    package struct Malformed: Error {
        /// What is wrong with it.
        package let reason: String
    }

    /// Reads the envelope of a message. Keys it doesn't know are left alone: vendors put theirs there.
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

    /// The parameters as what the method takes; absent, null and `{}` are the same.
    ///
    /// - Throws: `InvalidParameter` with the name of the one that is missing, of the wrong type or unknown.
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

    /// What the parameters as a whole are called.
    static let wholeName = "parameters"

    /// The parameter that is wrong where the decoder doesn't say which: it doesn't for a number that its type can't
    /// hold, such as 1.5 for an integer. It is the one without which that complaint ceases.
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

    /// Read by itself: one that is wrong is as good as none.
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
