/// One reply to a call, with parameters of a known type: the result, or the error.
package struct VarlinkReply<Parameters: Decodable>: Decodable {
    /// The method's result, or its error.
    package let result: Result<Parameters, VarlinkError>
    /// Whether further replies to the same call follow.
    package let continues: Bool

    private enum CodingKeys: CodingKey {
        case parameters, continues, error
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        continues = try container.decodeIfPresent(Bool.self, forKey: .continues) ?? false
        if let name = try container.decodeIfPresent(String.self, forKey: .error) {
            let parameters = try container.decodeIfPresent([String: VarlinkValue].self, forKey: .parameters)
            result = .failure(VarlinkError(name: name, parameters: parameters ?? [:]))
        } else if let parameters = try container.decodeIfPresent(Parameters.self, forKey: .parameters) {
            result = .success(parameters)
        } else {
            result = .success(try VarlinkJSON.decode(Parameters.self, from: Array("{}".utf8)))
        }
    }
}
