import Base
import Settings

extension BrokerURL {
    private static let forms =
        "redis://HOST:PORT/DATABASE, rediss:// likewise with TLS, unix:///PATH?db=DATABASE, "
        + "redis+sentinel://HOST:PORT,…/MASTER or redis+cluster://HOST:PORT,…; or for NATS nats://HOST:PORT or tls://HOST:PORT; "
        + "or for Kafka kafka://HOST:PORT,… or kafka+tls://HOST:PORT,…; or for RabbitMQ amqp://HOST:PORT,…/VHOST or amqps://"

    /// Parses a URL. No message shows what may be a password.
    init(parsing text: String) throws(InvalidValue) {
        guard let end = text.firstRange(of: "://"), text[..<end.lowerBound].utf8.allSatisfy(Self.isInScheme) else {
            throw InvalidValue("this is no URL; write \(Self.forms)")
        }
        let name = String(text[..<end.lowerBound])
        guard let scheme = Scheme(rawValue: name) else {
            throw InvalidValue("\(quoted(name)) is no scheme that a broker has; write \(Self.forms)")
        }
        self.init(scheme: scheme, text: text)
        guard !text.utf8.contains(where: Self.isBlank) else {
            throw InvalidValue("the URL has a space or a control character; write it as %20 and the like")
        }
        let rest = text[end.upperBound...]
        if scheme == .unix { try parse(socket: rest) } else { try parse(server: rest) }
    }

    private mutating func parse(socket text: Substring) throws(InvalidValue) {
        var text = text
        if let at = text.firstIndex(of: "@") {
            try parse(login: text[..<at])
            text = text[text.index(after: at)...]
        }
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = try Self.decoded(parts[0], "path")
        guard path.hasPrefix("/"), !path.hasSuffix("/"), path.utf8.count <= 107, !path.utf8.contains(0) else {
            throw InvalidValue("a Unix socket has an absolute path of 107 bytes at most; write unix:///PATH")
        }
        guard parts.count > 1 else { return }
        guard parts[1].hasPrefix("db=") else {
            throw InvalidValue("after \"?\" there may be db=DATABASE, nothing else")
        }
        database = try number(ofDatabase: parts[1].dropFirst(3))
    }

    private mutating func parse(server text: Substring) throws(InvalidValue) {
        guard !text.contains("?"), !text.contains("#") else {
            throw InvalidValue("a query or fragment has no meaning here; write \(Self.forms)")
        }
        var text = text
        if let at = text.lastIndex(of: "@") {
            try parse(login: text[..<at])
            text = text[text.index(after: at)...]
        }
        if let slash = text.firstIndex(of: "/") {
            let path = text[text.index(after: slash)...]
            guard scheme.type == .redis || scheme.type == .rabbitmq || path.isEmpty else {
                throw InvalidValue(
                    "\(scheme.type.title) has no databases, so nothing comes after the host; leave \"/…\" out")
            }
            try parse(path: path)
            text = text[..<slash]
        } else if scheme.isSentinel {
            try parse(path: "")
        }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 1 || scheme.hasSeveralHosts else {
            throw InvalidValue(
                scheme.type == .nats
                    ? "several servers of a NATS cluster are in broker.urls; write one host"
                    : "several hosts are for redis+sentinel:// and redis+cluster://; independent servers are in broker.urls"
            )
        }
        for part in parts {
            let host = try host(part)
            guard !hosts.contains(host) else { throw InvalidValue("\(host) is there twice; leave one out") }
            hosts.append(host)
        }
    }

    /// Takes what comes after the hosts: a virtual host, a database, a master's name and perhaps a database, or nothing.
    private mutating func parse(path text: Substring) throws(InvalidValue) {
        if scheme.type == .rabbitmq {
            guard !text.contains("/") else {
                throw InvalidValue("a \"/\" in the name of a virtual host is written %2F")
            }
            if !text.isEmpty { virtualHost = try Self.decoded(text, "virtual host") }
            return
        }
        if scheme.isCluster {
            guard text.isEmpty else {
                throw InvalidValue("a cluster has no databases, so nothing comes after the hosts; leave \"/…\" out")
            }
            return
        }
        guard scheme.isSentinel else {
            if !text.isEmpty { database = try number(ofDatabase: text) }
            return
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        masterName = try Self.decoded(parts.first ?? "", "name of the master")
        guard !masterName.isEmpty, !masterName.utf8.contains(where: Self.isBlank) else {
            throw InvalidValue(
                "the URL names no master, as \"sentinel monitor\" in sentinel.conf does; "
                    + "write \(scheme.rawValue)://HOST:PORT,…/MASTER")
        }
        if parts.count > 1, !parts[1].isEmpty { database = try number(ofDatabase: parts[1]) }
    }

    private func host(_ text: Substring) throws(InvalidValue) -> Host {
        var text = text
        var port = scheme.port
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
            guard let number = Self.number(text[text.index(after: colon)...]), number > 0 else {
                let value = shown(text[text.index(after: colon)...])
                throw InvalidValue("the port\(value) must be 1 to 65535; an IPv6 address is in brackets")
            }
            port = number
            text = text[..<colon]
        }
        if text.hasPrefix("["), text.hasSuffix("]") {
            text = text.dropFirst().dropLast()
            guard IPAddress(String(text)) != nil else {
                throw InvalidValue("what is in brackets\(shown(text)) is no IPv6 address")
            }
        } else if text.contains(":") {
            throw InvalidValue("an IPv6 address is in brackets: \(scheme.rawValue)://[::1]:\(scheme.port)")
        }
        guard !text.isEmpty else { throw InvalidValue("the URL names no host; write \(Self.forms)") }
        let name = try Self.decoded(text, "name of the host")
        guard !name.utf8.contains(where: Self.isBlank) else {
            throw InvalidValue("the name of the host\(shown(text)) has a space or a control character")
        }
        return Host(name: name, port: port)
    }

    private mutating func parse(login text: Substring) throws(InvalidValue) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let name = try Self.decoded(parts[0], "user")
        user = name.isEmpty ? nil : name
        password = parts.count > 1 ? try Self.decoded(parts[1], "password") : nil
    }

    private func number(ofDatabase text: Substring) throws(InvalidValue) -> Int {
        guard let number = Self.number(text) else {
            throw InvalidValue("the database\(shown(text)) must be a number, 0 to 65535")
        }
        return number
    }

    /// A part of the URL as it is shown behind its name. Nothing without a login: a login that lacks its "@" and the host
    /// would be taken for a host and a port.
    private func shown(_ text: Substring) -> String { user == nil && password == nil ? "" : " \(quoted(text))" }

    /// A number of 16 bits; nil for anything but digits.
    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return UInt16(text).map(Int.init)
    }

    private static func isInScheme(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: "+")
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte <= 0x20 || byte == 0x7F }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    /// A part of the URL with its %XX decoded.
    ///
    /// - Parameter part: what it is, for a message, which never shows the part itself: it may be a password.
    private static func decoded(_ text: Substring, _ part: String) throws(InvalidValue) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, rest.prefix(2).allSatisfy(isHexadecimal),
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else {
                throw InvalidValue("the \(part): after a \"%\" come two hexadecimal digits; \"%\" itself is %25")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw InvalidValue("the \(part) is not UTF-8; write each byte of its UTF-8 as %XX")
        }
        return text
    }
}
