import Base
import Engine
import Operations
import WebSocket

/// What operators, backends and administrators do.
extension Run {
    func command(_ step: Step) {
        let waits = step.flag(0, 0)
        switch step.kind {
        case .kick: kick(step, waits: waits)
        case .unsubscribe:
            let channel = step.choice(3, of: Alphabet.channels)
            let (selection, shown) = selection(step, 1)
            Trace.note("unsubscribe \(shown) from \(channel)\(waits ? "" : " &")")
            hub.command("unsubscribe", waits: waits) {
                _ = try? await $0.unsubscribe(selection, channel: channel, reason: "out of \"\(channel)\"")
            }
        case .broadcast:
            let (opcode, payload) = message(step)
            let (selection, shown) = selection(step, 1)
            Trace.note("broadcast \(opcode) \(Trace.shown(payload)) to \(shown)\(waits ? "" : " &")")
            let isPlainText = step.flag(0, 1)
            hub.command("broadcast", waits: waits) {
                _ = try? await $0.broadcast(opcode, payload, isPlainText: isPlainText, to: selection)
            }
        case .publish: publish(step, waits: waits)
        case .look: look(step, waits: waits)
        case .follow:
            let channel = step.choice(1, of: Alphabet.channels)
            Trace.note("follow \(channel)")
            hub.follow(channel)
        case .reconfigure:
            let configuration = nextConfiguration(step)
            // A bit that means something else as well, so that all seven bytes are the configuration's.
            let waits = step.flag(0, 4)
            Trace.note("reconfigure \(Rules.description(configuration))\(waits ? "" : " &")")
            hub.reconfigure(configuration, waits: waits)
        case .drain:
            Trace.note("drain")
            hub.drain(period: .milliseconds(step[1] % 20), timeout: .milliseconds(50 + step[2] % 100))
        default: break
        }
    }

    /// Some of the connections, and how it is said.
    private func selection(_ step: Step, _ place: Int) -> (ConnectionSelection, shown: String) {
        let which = step[place + 1]
        let channel = Alphabet.channels[which % Alphabet.channels.count]
        let user = (Alphabet.users + ["nobody"])[which % 4]
        let path = Alphabet.endpoints[which % Alphabet.endpoints.count].path
        switch step[place] & 7 {
        case 0: return (ConnectionSelection(), "all")
        case 1, 2: return (ConnectionSelection(channel: channel), "those in \(channel)")
        case 3: return (ConnectionSelection(user: user), "\(user)'s")
        case 4: return (ConnectionSelection(endpoint: path), "those at \(path)")
        case 5: return (ConnectionSelection(network: IPNetwork(of: .none)), "those of the Unix socket")
        case 6: return (ConnectionSelection(channel: channel, user: user), "\(user)'s in \(channel)")
        default:
            let ids = knownIDs.isEmpty ? [] : [knownIDs[which % knownIDs.count]]
            return (ConnectionSelection(ids: Set(ids)), "those with the ids \(ids)")
        }
    }

    private func message(_ step: Step) -> (opcode: Opcode, payload: [UInt8]) {
        Requests.message(step, 4, allowsHuge: step[4] & 15 == 15 && takeHuge())
    }

    private func kick(_ step: Step, waits: Bool) {
        let code = CloseCode(rawValue: step.choice(3, of: [1_000, 1_001, 1_008, 3_000, 4_000]))
        let reason = step.flag(0, 1) ? String(repeating: "\u{e9}\u{1F600}", count: 40) : "enough"
        let (selection, shown) = selection(step, 1)
        Trace.note("kick \(shown) with \(code)\(waits ? "" : " &")")
        hub.command("kick", waits: waits) { _ = try? await $0.kick(selection, code: code, reason: reason) }
    }

    private func publish(_ step: Step, waits: Bool) {
        let (opcode, payload) = message(step)
        let isPlainText = step.flag(0, 1)
        let count = step[3] == 0xFF && payload.count < 1_000 ? 300 : 1 + step[3] % 4
        let messages = (0..<count).map {
            Hub.Message(
                channel: Alphabet.channels[(step[1] + $0 * step[2]) % Alphabet.channels.count], opcode: opcode,
                payload: payload, isPlainText: isPlainText)
        }
        let channels = messages.prefix(4).map(\.channel)
        Trace.note("publish \(count) times \(opcode) \(Trace.shown(payload)) in \(channels)\(waits ? "" : " &")")
        hub.command("publish", waits: waits) {
            let results = await $0.publish(messages)
            require(results.count == messages.count, "\(results.count) results of \(messages.count)")
        }
    }

    private func look(_ step: Step, waits: Bool) {
        let limit = step[4] % 8 + 1
        let channel = step.choice(3, of: Alphabet.channels)
        let before: UInt64? = step.flag(0, 1) ? UInt64(step[5]) : nil
        let (selection, shown) = selection(step, 1)
        Trace.note("look at \(step[6] % 6) \(shown) \(channel)\(waits ? "" : " &")")
        switch step[6] % 6 {
        case 0:
            let hub = hub.hub
            knownIDs = blocking("list") {
                var found: [ConnectionID] = []
                var cursor: Hub.Cursor?
                repeat {
                    let page = await hub.connections(selection, after: cursor, limit: limit)
                    found += page.connections.map(\.id)
                    cursor = page.next
                } while cursor != nil
                return found
            }
        case 1:
            let order = step.choice(5, of: ConnectionOrder.allCases)
            hub.command("top", waits: waits) { _ = await $0.top(order, connections: limit, channels: limit) }
        case 2:
            hub.command("channel", waits: waits) {
                _ = try? await $0.channel(channel, before: before, limit: limit * 50)
            }
        case 3: hub.command("channels", waits: waits) { _ = await $0.channelCounts(limit: limit) }
        case 4: hub.command("endings", waits: waits) { _ = await $0.endings(selection, limit: limit) }
        default: hub.command("statistics", waits: waits) { _ = await $0.statistics() }
        }
    }
}
