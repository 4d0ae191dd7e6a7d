import Base
import Control
import Operations
import Terminal

/// An event as a line for a person.
enum EventText {
    /// A line for the similar events that an event stands for; nil if there are none.
    static func moreLine(_ event: Event) -> String? {
        guard let more = event.more else { return nil }
        let alike = more.sameAddress ? "" : " from several addresses"
        let times = "between \(time(more.first)) and \(time(more.last))"
        return TerminalText.escape("… and \(HumanText.grouped(more.count)) more like it\(alike) \(times)")
    }

    /// The time of day of a date and time, to the second.
    private static func time(_ time: Timestamp) -> String {
        String(time.description.drop { $0 != "T" }.dropFirst().prefix { $0 != "." && $0 != "Z" })
    }

    static func line(_ event: Event) -> String {
        var words = [event.time.description, event.kind.rawValue.padded(to: 7)]
        if let node = event.node { words.append("node=\(node)") }
        if let id = event.id { words.append(id.description) }
        if let address = event.address { words.append(address.description) }
        if let user = event.user { words.append("user=\(user)") }
        if let endpoint = event.endpoint { words.append(endpoint) }
        if let channel = event.channel { words.append("channel=\(channel)") }
        if let cause = event.cause { words.append(event.code.map { "\(cause) (\($0))" } ?? cause) }
        if let bytes = event.queuedBytes, bytes > 0 { words.append("\(HumanText.bytes(bytes)) queued") }
        if let dropped = event.droppedMessages, dropped > 0 { words.append("\(dropped) dropped") }
        if let since = event.connectedSince {
            words.append("after \(HumanText.duration(from: since, to: event.time))")
        }
        if let text = event.text { words.append("\"\(text)\"") }
        return TerminalText.escape(words.joined(separator: " "))
    }
}
