/// Samples in the format profile.proto of pprof (github.com/google/pprof/proto/profile.proto).
struct CPUProfile {
    var counts: [Stack: UInt64]
    /// The start, in milliseconds since 1970.
    var start: Int64
    var milliseconds: Int64
    /// The number of samples for which there was no room.
    var lost: Int64

    private struct Strings {
        private(set) var all = [""]
        private var places = ["": UInt64(0)]

        mutating func place(of text: String) -> UInt64 {
            if let place = places[text] { return place }
            let place = UInt64(all.count)
            places[text] = place
            all.append(text)
            return place
        }
    }

    func encoded() -> [UInt8] {
        let symbols = Symbols()
        var strings = Strings()
        var writer = ProtobufWriter()
        let nanoseconds = UInt64(1_000_000_000 / Sampler.frequency)
        func valueType(_ field: Int, _ type: String, _ unit: String, _ strings: inout Strings) {
            let (type, unit) = (strings.place(of: type), strings.place(of: unit))
            writer.message(field) {
                $0.field(1, type)
                $0.field(2, unit)
            }
        }
        valueType(1, "samples", "count", &strings)
        valueType(1, "cpu", "nanoseconds", &strings)
        let threadKey = strings.place(of: "thread")

        var locations: [UInt64: UInt64] = [:]
        for (stack, count) in counts.sorted(by: { ($0.key.thread, $0.value) < ($1.key.thread, $1.value) }) {
            let ids = stack.addresses.map { address in
                if let known = locations[address] { return known }
                let id = UInt64(locations.count + 1)
                locations[address] = id
                return id
            }
            let thread = strings.place(of: ThreadName.of(stack.thread))
            writer.message(2) {
                $0.field(1, packed: ids)
                $0.field(2, packed: [count, count * nanoseconds])
                $0.message(3) {
                    $0.field(1, threadKey)
                    $0.field(2, thread)
                }
            }
        }
        let (file, buildID) = (strings.place(of: symbols.path), strings.place(of: symbols.buildID))
        writer.message(3) {
            $0.field(1, 1)
            $0.field(2, symbols.codeStart)
            $0.field(3, symbols.codeEnd)
            $0.field(4, symbols.codeOffset)
            $0.field(5, file)
            $0.field(6, buildID)
            $0.field(7, symbols.isEmpty ? 0 : 1)
        }
        var functions: [String: UInt64] = [:]
        for (address, id) in locations.sorted(by: { $0.value < $1.value }) {
            let symbol = symbols.symbol(at: address)
            var function: UInt64 = 0
            if let symbol {
                function = functions[symbol, default: UInt64(functions.count + 1)]
                functions[symbol] = function
            }
            writer.message(4) {
                $0.field(1, id)
                $0.field(2, symbols.isOwn(address) ? 1 : 0)
                $0.field(3, address)
                if function > 0 { $0.message(4) { $0.field(1, function) } }
            }
        }
        for (symbol, id) in functions.sorted(by: { $0.value < $1.value }) {
            let (name, systemName) = (strings.place(of: Demangling.name(of: symbol)), strings.place(of: symbol))
            writer.message(5) {
                $0.field(1, id)
                $0.field(2, name)
                $0.field(3, systemName)
            }
        }
        writer.field(9, UInt64(start) * 1_000_000)
        writer.field(10, UInt64(milliseconds) * 1_000_000)
        valueType(11, "cpu", "nanoseconds", &strings)
        writer.field(12, nanoseconds)
        var comments: [String] = []
        if symbols.isEmpty { comments.append("wsd has no symbols here: install its debug symbols to see names") }
        if lost > 0 { comments.append("\(lost) samples were lost") }
        writer.field(13, packed: comments.map { strings.place(of: $0) })
        for text in strings.all { writer.field(6, Array(text.utf8)) }
        return writer.bytes
    }
}
