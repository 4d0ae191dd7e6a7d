import Base
import Settings

extension ValueFormat<Bool> {
    /// true or false.
    static let boolean = ValueFormat(
        type: "boolean", expected: "true or false", choices: ["true", "false"],
        decode: { node, decoding in
            guard case .boolean(let flag) = node.value else {
                decoding.reportType(node, expected: "true or false, without quotes")
                return nil
            }
            return flag
        },
        text: { String($0) })
}

extension ValueFormat<Int> {
    /// An integer in a range.
    static func integer(_ range: ClosedRange<Int>) -> ValueFormat {
        let words = "\(range.lowerBound) to \(range.upperBound)"
        let expected = "an integer from \(words)"
        return ValueFormat(
            type: "integer", expected: expected, range: words,
            decode: { node, decoding in
                guard case .integer(let number) = node.value else {
                    decoding.reportType(node, expected: expected)
                    return nil
                }
                guard range.contains(number) else {
                    decoding.report("\(number) is out of range; give \(expected)", at: node)
                    return nil
                }
                return number
            },
            text: { String($0) })
    }

    /// A number of bytes: "64KiB", or an integer; `zero` says what 0 means if the range doesn't include it.
    static func byteCount(_ range: ClosedRange<Int>, zero: String? = nil) -> ValueFormat {
        let bounds = [range.lowerBound, range.upperBound].map { ByteCountText.text($0) }
        let words = "\(bounds[0]) to \(bounds[1])" + (zero.map { ", or 0 for \($0)" } ?? "")
        return ValueFormat(
            type: "size", expected: "a size", range: words,
            decode: { node, decoding in
                let byteCount: Int
                let shown: String
                switch node.value {
                case .integer(let number):
                    byteCount = number
                    shown = String(number)
                case .string(let written):
                    do throws(InvalidValue) {
                        byteCount = try ByteCountText.parse(written)
                        shown = quoted(written)
                    } catch {
                        decoding.report(error, at: node)
                        return nil
                    }
                default:
                    decoding.reportType(node, expected: "a size in quotes, or a number of bytes")
                    return nil
                }
                guard range.contains(byteCount) || (zero != nil && byteCount == 0) else {
                    decoding.report("\(shown) is out of range; give a size from \(words)", at: node)
                    return nil
                }
                return byteCount
            },
            text: { ByteCountText.text($0) })
    }
}

extension ValueFormat<Duration> {
    /// A duration in a range; `zero` says what "0s" means if the range doesn't include it.
    static func duration(_ range: ClosedRange<Duration>, zero: String? = nil) -> ValueFormat {
        let bounds = [range.lowerBound, range.upperBound].map { quoted(DurationText.text($0)) }
        let words = "\(bounds[0]) to \(bounds[1])" + (zero.map { ", or \"0s\" for \($0)" } ?? "")
        return ValueFormat(
            type: "duration", expected: "a duration", range: words,
            decode: { node, decoding in
                switch node.value {
                case .string(let written):
                    do throws(InvalidValue) {
                        let duration = try DurationText.parse(written)
                        if range.contains(duration) || (zero != nil && duration == .zero) { return duration }
                        decoding.report("\(quoted(written)) is out of range; give a duration from \(words)", at: node)
                    } catch {
                        decoding.report(error, at: node)
                    }
                case .integer(let number) where number >= 0:
                    decoding.report(
                        "\(number) has no unit; for seconds write \"\(number)s\", for milliseconds \"\(number)ms\"",
                        at: node)
                case .float(let number) where number >= 0 && number.isFinite:
                    decoding.report("\(number) has no unit; for seconds write \"\(number)s\"", at: node)
                default:
                    decoding.reportType(node, expected: "a duration in quotes")
                }
                return nil
            },
            text: { quoted(DurationText.text($0)) })
    }
}

extension ValueFormat where Value: RawRepresentable<String> & CaseIterable {
    /// One of the values of an enumeration. `later` lists names that are documented but not supported yet.
    static func choice(later: [String] = []) -> ValueFormat { choice(\.rawValue, later: later) }
}

extension ValueFormat where Value: CaseIterable {
    /// One of the values of an enumeration, by its name.
    static func choice(_ name: any KeyPath<Value, String> & Sendable, later: [String] = []) -> ValueFormat {
        let names = Value.allCases.map { $0[keyPath: name] }
        var format = string(
            "string", expected: listed(names, "or"), range: listed(names, "or"),
            parse: { written throws(InvalidValue) in
                if let value = Value.allCases.first(where: { $0[keyPath: name] == written }) { return value }
                guard !later.contains(written) else {
                    throw InvalidValue("\(quoted(written)) is not in this version yet; it has \(listed(names, "or"))")
                }
                guard let meant = Suggestion.nearest(to: written, among: names) else {
                    throw InvalidValue("\(quoted(written)) is unknown; give \(listed(names, "or"))")
                }
                throw InvalidValue(
                    "\(quoted(written)) is unknown; did you mean \(quoted(meant))? There are \(listed(names, "and"))")
            },
            text: { $0[keyPath: name] })
        format.choices = names
        return format
    }
}

extension ValueFormat<ListenAddress> {
    static let address = string(
        "address", expected: "an address and a port in quotes",
        parse: { written throws(InvalidValue) in try ListenAddress(parsing: written) },
        text: \.description)
}

extension ValueFormat<HostPattern> {
    static let host = string(
        "host", expected: "a host in quotes",
        parse: { written throws(InvalidValue) in try HostPattern(parsing: written) },
        text: \.description)
}

extension ValueFormat<OriginPattern> {
    static let origin = string(
        "origin", expected: "an origin in quotes",
        parse: { written throws(InvalidValue) in try OriginPattern(parsing: written) },
        text: \.description)
}

extension ValueFormat<IPNetwork> {
    static let cidr = string(
        "range of addresses", expected: "a range of addresses in quotes",
        parse: { written throws(InvalidValue) in try IPNetwork.parse(written) },
        text: \.description)
}

extension ValueFormat<String> {
    /// The name of a channel, or no channel.
    static let channelOrNone = string(
        "string", expected: "the name of a channel in quotes", range: "1 to 255 bytes, no control characters, or empty",
        parse: { written throws(InvalidValue) in try ChannelName.parseOptional(written) }, text: { $0 })

    /// The name of a stream, a group or a field; or nothing, if `isOptional`.
    static func sourceName(isOptional: Bool = false) -> ValueFormat {
        string(
            "string", expected: "a name in quotes",
            range: "1 to 255 bytes, no control characters" + (isOptional ? ", or empty" : ""),
            parse: { written throws(InvalidValue) in
                guard !written.isEmpty || isOptional else { throw InvalidValue("\"\" is no name; give 1 to 255 bytes") }
                guard !written.hasControlCharacters else {
                    throw InvalidValue("\(quoted(written)) holds a control character; leave it out")
                }
                guard written.utf8.count <= 255 else {
                    throw InvalidValue("the name has \(written.utf8.count) bytes; it may have 255")
                }
                return written
            },
            text: { $0 })
    }

    /// Any text.
    static let text = string(
        "string", expected: "a string", parse: { written throws(InvalidValue) in written }, text: { $0 })

    /// The name of a cookie, or nothing.
    static let cookie = string(
        "string", expected: "the name of a cookie in quotes", range: "the name of a cookie, or empty",
        parse: { written throws(InvalidValue) in try CookieName.parse(written) }, text: { $0 })

    /// The path of an endpoint.
    static let endpointPath = string(
        "string", expected: "a path in quotes", range: "begins with \"/\"",
        parse: { written throws(InvalidValue) in try EndpointPath.parse(written) }, text: { $0 })

    /// The path of a Unix socket, or nothing.
    static let socketPath = string(
        "path", expected: "an absolute path in quotes", range: "absolute, at most \(SocketPath.maxByteCount) bytes",
        parse: { written throws(InvalidValue) in try SocketPath.parse(written) }, text: { $0 })

    /// The first part of names at a broker.
    static let brokerPrefix = string(
        "string", expected: "a word in quotes", range: "1 to 32 letters, digits, \".\", \"_\" and \"-\"",
        parse: { written throws(InvalidValue) in
            let isPlain = written.utf8.allSatisfy { byte in
                switch byte | 0x20 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"): byte >= 0x40
                default: (0x30...0x39).contains(byte) || ".-_".utf8.contains(byte)
                }
            }
            guard isPlain, (1...32).contains(written.utf8.count) else {
                throw InvalidValue(
                    "\(quoted(written)) is not 1 to 32 letters, digits, \".\", \"_\" and \"-\"; "
                        + "take a word such as \"wsd\"")
            }
            return written
        },
        text: { $0 })

    /// A setting of librdkafka.
    static let kafkaProperty = string(
        "string", expected: "a setting in quotes", range: "NAME=VALUE",
        parse: { written throws(InvalidValue) in
            guard let sign = written.firstIndex(of: "="), sign > written.startIndex, !written.utf8.contains(0) else {
                throw InvalidValue(
                    "\(quoted(written)) is no setting; write NAME=VALUE, such as \"compression.type=lz4\"")
            }
            return written
        },
        text: { $0 })

    /// The name of a node, or nothing.
    static let nodeName = string(
        "string", expected: "a name in quotes", range: "64 bytes at most, without spaces",
        parse: { written throws(InvalidValue) in
            guard written.utf8.count <= 64, !written.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
                throw InvalidValue("\(quoted(written)) is longer than 64 bytes or has a space in it; take a word")
            }
            return written
        },
        text: { $0 })
}

extension ValueFormat<BrokerURL?> {
    /// Where a broker is, or nothing.
    static let brokerURLOrNone = string(
        "URL", expected: "a URL in quotes",
        range:
            "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://, "
            + "nats://, tls://, kafka://, kafka+tls://, amqp:// or amqps://",
        parse: { written throws(InvalidValue) in written.isEmpty ? nil : try BrokerURL(parsing: written) },
        text: { $0?.text ?? "" })
}

extension ValueFormat<BrokerURL?> {
    /// Where a server with a source is, or nothing.
    static let sourceURLOrNone = string(
        "URL", expected: "a URL in quotes",
        range:
            "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, kafka://, kafka+tls://, amqp://, amqps://, nats:// or tls://",
        parse: { written throws(InvalidValue) in written.isEmpty ? nil : try BrokerURL(parsing: written) },
        text: { $0?.text ?? "" })
}

extension ValueFormat<BrokerURL> {
    /// Where one of several servers is.
    static let brokerURL = string(
        "URL", expected: "a URL in quotes", range: "redis://, rediss://, unix://, nats:// or tls://",
        parse: { written throws(InvalidValue) in try BrokerURL(parsing: written) }, text: \.text)
}
