import Base

/// The slots of a cluster.
enum ClusterSlots {
    static let count = 16_384

    /// The slot of a key: that of the part in the first braces, if there is one.
    static func slot(of key: String) -> Int {
        var key = key
        return key.withUTF8 { bytes in
            guard let open = bytes.firstIndex(of: UInt8(ascii: "{")),
                let close = bytes[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
            else { return Int(crc16(0, bytes[...])) % count }
            return Int(crc16(0, bytes[(open + 1)..<close])) % count
        }
    }

    /// The slot of all keys of a hub's channel, which have `{c<channel>}`.
    static func slot(ofChannel channel: String) -> Int {
        var channel = channel
        return channel.withUTF8 { bytes in
            let end = bytes.firstIndex(of: UInt8(ascii: "}")) ?? bytes.endIndex
            return Int(crc16(crc16(0, CollectionOfOne(UInt8(ascii: "c"))), bytes[..<end])) % count
        }
    }

    /// CRC-16/XMODEM, as Redis' cluster specification says.
    private static func crc16(_ start: UInt16, _ bytes: some Collection<UInt8>) -> UInt16 {
        var crc = start
        for byte in bytes { crc = crc << 8 ^ table[Int(crc >> 8 ^ UInt16(byte))] }
        return crc
    }

    private static let table: [UInt16] = (0..<256).map { index in
        var crc = UInt16(index) << 8
        for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
        return crc
    }
}

/// A part of the slots, and the master that has them.
struct SlotRange: Equatable {
    var slots: ClosedRange<Int>
    var master: RedisAddress

    /// Reads the answer to `CLUSTER SLOTS`; nil if it is another. A server that does not know its own address is taken
    /// to be where it was asked.
    static func all(in value: RESPValue, askedAt asked: RedisAddress) -> [SlotRange]? {
        guard let parts = value.elements else { return nil }
        var ranges: [SlotRange] = []
        for part in parts {
            guard let elements = part.elements, elements.count >= 3, let first = elements[0].number,
                let last = elements[1].number, 0 <= first, first <= last, last < ClusterSlots.count,
                let node = elements[2].elements, node.count >= 2, let port = node[1].number
            else { return nil }
            guard let address = address(node[0].text ?? "", Int(clamping: port), asked) else { return nil }
            ranges.append(SlotRange(slots: Int(first)...Int(last), master: address))
        }
        return ranges
    }

    private static func address(_ host: String, _ port: Int, _ asked: RedisAddress) -> RedisAddress? {
        guard (1...65_535).contains(port) else { return nil }
        guard host.isEmpty || host == "?" else { return .tcp(host: host, port: port) }
        guard case .tcp(let host, _) = asked else { return nil }
        return .tcp(host: host, port: port)
    }
}

extension RedisError {
    /// The address in an answer that another server has a slot, `MOVED 3999 127.0.0.1:6381`, or is getting it, `ASK …`.
    func target(askedAt asked: RedisAddress) -> RedisAddress? {
        guard code == "MOVED" || code == "ASK" else { return nil }
        let words = text.split(separator: " ")
        guard words.count == 3, let colon = words[2].lastIndex(of: ":"),
            let port = UInt16(words[2][words[2].index(after: colon)...]), port > 0
        else { return nil }
        let host = String(words[2][..<colon])
        if !host.isEmpty, host != "?" { return .tcp(host: host, port: Int(port)) }
        guard case .tcp(let own, _) = asked else { return nil }
        return .tcp(host: own, port: Int(port))
    }
}
