import BrokerSupport

// How a client says who it is, and what is wrong if a server does not take it.
extension NATSConnection {
    /// The JSON of `CONNECT`.
    static func connectText(_ info: NATSServerInfo, _ options: NATSBroker.Options) -> String {
        var members: [(String, String)] = [
            ("verbose", "false"), ("pedantic", "false"), ("protocol", "1"), ("headers", "true"),
            ("no_responders", "true"),
            ("echo", "true"), ("lang", "\"swift\""), ("version", "\"1\""), ("name", quoted(options.clientName)),
            ("tls_required", options.tls == nil ? "false" : "true"),
        ]
        switch options.login {
        case .none: break
        case .user(let user, let password): members += [("user", quoted(user)), ("pass", quoted(password))]
        case .token(let token): members.append(("auth_token", quoted(token)))
        case .key(let key, let jwt):
            if let jwt {
                members.append(("jwt", quoted(jwt)))
            } else {
                members.append(("nkey", quoted(key.publicText)))
            }
            if let nonce = info.nonce, let signature = key.signature(of: nonce) {
                members.append(("sig", quoted(signature)))
            }
        }
        return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }

    /// A text as a JSON string.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    /// Why a server ends a connection after a complaint; nil if it goes on.
    static func refusal(_ complaint: String, _ options: NATSBroker.Options) -> String? {
        let text = complaint.lowercased()
        if text.hasPrefix("authorization violation") || text.hasPrefix("authentication timeout") {
            let given =
                switch options.login {
                case .none:
                    "no user is given; set \(options.table).url = \"nats://USER:PASSWORD@…\", "
                        + "\(options.table).password_file or \(options.table).credentials_file"
                case .user(let user, _): "the user \(user) or the password is not what it knows"
                case .token: "the token is not what it knows"
                case .key(let key, nil): "it does not know the key \(key.publicText)"
                case .key: "the credentials are not what it knows, or have expired"
                }
            return "refused the login: \(complaint); \(given)"
        }
        if text.hasPrefix("user authentication") || text.hasPrefix("account authentication") {
            return "ended the login: \(complaint); renew the credentials"
        }
        if text.hasPrefix("slow consumer") {
            return "ended the connection, as this node reads too slowly: \(complaint)"
        }
        if text.hasPrefix("maximum payload") { return "ended the connection: \(complaint); raise its max_payload" }
        if text.hasPrefix("permissions violation") { return nil }
        return "ended the connection: \(complaint)"
    }
}
