internal import Base
internal import Broker
internal import Channels
internal import Control

/// How a record becomes a message in a channel.
package struct ConsumerRules: Sendable {
    /// What the messages are.
    package enum Format: Sendable {
        case json, text, binary
    }

    /// The channel of all records; nil if each names its own.
    package var channel: String?
    /// The field with the name of a record's channel.
    package var channelField: String
    /// The field with the message.
    package var dataField: String
    package var format: Format

    package init(channel: String? = nil, channelField: String = "channel", dataField: String = "data", format: Format) {
        self.channel = channel
        self.channelField = channelField
        self.dataField = dataField
        self.format = format
    }

    /// The message of a record.
    ///
    /// - Throws: why there is none.
    func message(of record: Record) throws(RecordFault) -> ChannelMessage {
        let fields: [String: [UInt8]]
        switch record.content {
        case .fields(let found): fields = found
        case .tooLarge(let byteCount, let limit):
            let size = byteCount.map { "it has \($0) bytes" } ?? "it is too large"
            throw RecordFault("\(size); at most \(limit) are read, by websocket.max_message_size")
        case .deleted: throw RecordFault("it was deleted before it was published")
        }
        let name: String
        if let channel { name = channel } else { name = try channelName(in: fields) }
        guard let data = fields[dataField] else {
            throw RecordFault("it has no field \"\(dataField)\" for the message")
        }
        return ChannelMessage(channel: name, message: try message(data))
    }

    private func channelName(in fields: [String: [UInt8]]) throws(RecordFault) -> String {
        let found: String?
        if let bytes = fields[channelField] {
            found = String(validating: bytes, as: UTF8.self)
        } else if let data = fields[dataField],
            let member = unsafe data.withUnsafeBytes({ unsafe RequestReader.stringMember(channelField, of: $0) })
        {
            found = member
        } else {
            throw RecordFault(
                "it has no field \"\(channelField)\" for the channel, and its message no member of that name")
        }
        guard let name = found, ChannelName.isValid(name) else {
            throw RecordFault(
                "its field \"\(channelField)\" is no name of a channel: 1 to 255 bytes, no control characters")
        }
        return name
    }

    private func message(_ data: [UInt8]) throws(RecordFault) -> BroadcastMessage {
        switch format {
        case .binary: return BroadcastMessage(data: data)
        case .text:
            guard let text = String(validating: data, as: UTF8.self) else {
                throw RecordFault("its field \"\(dataField)\" is not UTF-8; format = \"binary\" takes any bytes")
            }
            return BroadcastMessage(plainText: text)
        case .json:
            guard unsafe data.withUnsafeBytes({ unsafe RequestReader.isJSONValue($0) }) else {
                throw RecordFault(
                    "its field \"\(dataField)\" is no JSON value; format = \"text\" takes any text")
            }
            return BroadcastMessage(utf8: data)
        }
    }
}

/// Why a record can't be published, as what follows its name.
package struct RecordFault: Error, Equatable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}
