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
            throw .invalidParameter(error.parameterName)
        } catch {
            throw .invalidParameter("parameters")
        }
    }

    private struct Envelope: Decodable {
        let method: String
        let more: Bool?
        let oneway: Bool?
        let upgrade: Bool?
    }

    private struct Body<Parameters: Decodable>: Decodable {
        let parameters: Parameters?
    }

    private struct RequiredBody<Parameters: Decodable>: Decodable {
        let parameters: Parameters
    }
}
