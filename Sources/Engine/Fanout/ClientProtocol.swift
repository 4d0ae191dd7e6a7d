import Channels
import Settings
import WebSocket

/// Everything in which the protocols of clients differ for the rest of the engine. A new protocol is a case of
/// `ClientProtocol`, its answers to these questions, its words, and its requests (`Worker.act(on:)`).
extension ClientProtocol {
    /// The number in tables. It is here and not in Settings, because the compiler doesn't inline what is in another
    /// module, and it is asked for several times for each message.
    var rawValue: UInt8 {
        switch self {
        case .relay: 0
        case .json: 1
        }
    }

    init?(rawValue: UInt8) {
        switch rawValue {
        case 0: self = .relay
        case 1: self = .json
        default: return nil
        }
    }

    /// A table with an element for each protocol, by `rawValue`.
    typealias Table<Element: ~Copyable> = InlineArray<2, Element>

    /// The form of a message in a protocol.
    enum Form {
        /// The message's bytes and opcode.
        case unchanged
        /// The object of the `json` protocol, as text.
        case object
    }

    /// The protocol whose form of the messages a follower of a channel gets.
    static let ofFollowers = ClientProtocol.relay

    /// Whether clients send requests, which are answered: they join channels and ask for presence and history.
    /// Otherwise, they are in their endpoint's channel, and each of their messages is for it.
    var hasRequests: Bool {
        switch self {
        case .relay: false
        case .json: true
        }
    }

    /// Whether clients get the number of each message, and are told of joins and leaves.
    var isNumbered: Bool { hasRequests }

    /// The form in which clients get a message; nil if they don't get it.
    func form(of message: NumberedPublication.Form, _ opcode: Opcode) -> Form? {
        switch self {
        // A request's data alone would lack who said it.
        case .relay: message == .chatJSON ? .object : .unchanged
        case .json: opcode == .text ? .object : nil
        }
    }
}
