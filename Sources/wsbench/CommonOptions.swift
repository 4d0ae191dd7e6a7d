import ArgumentParser
import CLinux
import Glibc
import WebSocket

/// The options of every mode.
struct CommonOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The server, such as ws://127.0.0.1:8080/ws; several are used in turn.", valueName: "url"))
    var urls: [String]

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("The number of connections.", valueName: "count"))
    var connections = 100

    @Option(help: ArgumentHelp("The size of a message in bytes, at least 48.", valueName: "size"))
    var size = ByteCount(128)

    @Flag(help: "Send binary messages rather than text.")
    var binary = false

    @Option(help: ArgumentHelp("Connections opened per second; 0: as many as possible.", valueName: "count"))
    var connectRate = ConnectRate(0)

    @Option(help: ArgumentHelp("The number of concurrent handshakes.", valueName: "count"))
    var handshakes = 256

    @Option(help: ArgumentHelp("Connect from these addresses in turn, separated by commas.", valueName: "address,..."))
    var source: String?

    @Option(help: ArgumentHelp("Connect from this many addresses of 127.0.0.0/8 in turn.", valueName: "count"))
    var sources: Int?

    @Option(help: ArgumentHelp("A header of the handshake, 'Name: value'; may be repeated.", valueName: "field"))
    var header: [HeaderField] = []

    @Option(help: ArgumentHelp("The Origin header of the handshake.", valueName: "origin"))
    var origin: String?

    @Flag(help: "Offer permessage-deflate, and count the messages that arrive compressed.")
    var compression = false

    @Option(help: ArgumentHelp("The number of load threads.", valueName: "count"))
    var threads = 1

    @Option(help: ArgumentHelp("Report the CPU time and the memory of this server process.", valueName: "pid"))
    var pid: Int32?

    @Option(help: ArgumentHelp("The maximum time for a handshake, a close, or a last message.", valueName: "time"))
    var timeout = TimeSpan(seconds: 10)

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(name: .shortAndLong, help: "Show no progress, and no warnings on standard error.")
    var quiet = false

    func validate() throws {
        guard !urls.isEmpty else { throw ValidationError("which server? Give a URL, such as ws://127.0.0.1:8080/ws") }
        guard 1...10_000_000 ~= connections else {
            throw ValidationError("--connections \(connections): 1 to 10000000")
        }
        guard Stamp.byteCount...(64 << 20) ~= size.bytes else {
            throw ValidationError("--size \(size.text): 48 to 64MiB; the first 48 bytes tell the messages apart")
        }
        guard 1...64 ~= threads else { throw ValidationError("--threads \(threads): 1 to 64") }
        guard handshakes >= 1 else { throw ValidationError("--handshakes \(handshakes): 1 or more") }
        guard timeout.nanoseconds > 0 else { throw ValidationError("--timeout 0: some time it needs") }
        guard source == nil || sources == nil else { throw ValidationError("--source and --sources: give one of them") }
        if let sources, !(1...65_000 ~= sources) { throw ValidationError("--sources \(sources): 1 to 65000") }
        if let pid, pid < 1 { throw ValidationError("--pid \(pid): no process") }
        if let origin, HeaderField(argument: "Origin: \(origin)") == nil {
            throw ValidationError("--origin: not one line")
        }
        _ = try parsedURLs()
    }

    private func parsedURLs() throws -> [WebSocketURL] {
        try urls.map { text in
            do throws(WebSocketURL.Invalid) { return try WebSocketURL(text) } catch {
                throw ValidationError([error.message, error.advice].compactMap { $0 }.joined(separator: "\n"))
            }
        }
    }

    /// The plan of a run with this number of connections; the modes add their own settings.
    func plan(connectionCount: Int) throws -> Plan {
        var fields = header
        if let origin { fields.append(HeaderField(name: "Origin", value: origin)) }
        let key = Base64.encode((0..<16).map { _ in UInt8.random(in: 0...255) })
        let targets = try parsedURLs().map { url in
            Plan.Target(
                address: try SocketAddress.resolve(url.host, port: url.port),
                request: HandshakeRequest(url: url, key: key, fields: fields, offersCompression: compression))
        }
        try checkDescriptors(connectionCount)
        var plan = Plan(targets: targets, connectionCount: connectionCount)
        plan.sources = try sourceAddresses(targets, connectionCount)
        plan.loadThreadCount = min(threads, connectionCount)
        plan.messageByteCount = size.bytes
        plan.traffic = binary ? .binary : .text
        plan.handshakesInFlight = handshakes
        plan.connectRate = connectRate.perSecond
        plan.timeout = timeout.nanoseconds
        return plan
    }

    private func checkDescriptors(_ connectionCount: Int) throws(Failure) {
        let limit = clinux_raise_descriptor_limit()
        let needed = connectionCount + threads + 16
        guard needed <= limit else {
            throw Failure(
                "\(connectionCount) connections need \(needed) file descriptors, and the limit is \(limit)",
                advice: "Raise it with 'ulimit -n \(needed)' (as root, or in limits.conf(5)), or use several wsbench.")
        }
    }

    /// The addresses to connect from. If none is given and the targets are on this machine, these are as many addresses
    /// of 127.0.0.0/8 as the connections need: an address has some 28,000 ports for a target.
    private func sourceAddresses(_ targets: [Plan.Target], _ connectionCount: Int) throws -> [SocketAddress] {
        if let sources { return try loopback(sources) }
        if let source {
            return try source.split(separator: ",").map {
                try SocketAddress.resolve(String($0), port: 0, isNumeric: true)
            }
        }
        guard targets.allSatisfy({ $0.address.isLoopback && $0.address.family == AF_INET }) else { return [] }
        let count = LocalPorts.sourceCount(
            connections: connectionCount, targets: targets.count, portCount: LocalPorts.count)
        return count > 1 ? try loopback(count) : []
    }

    private func loopback(_ count: Int) throws -> [SocketAddress] {
        try (1...count).map {
            try SocketAddress.resolve("127.0.\($0 / 250).\($0 % 250)", port: 0, isNumeric: true)
        }
    }

    /// Runs a plan and reports it.
    func run(_ mode: Report.Mode, _ plan: Plan, _ script: Script) throws {
        TimerSlack.minimize()
        let conductor = Conductor(
            plan: plan, script: script, serverPID: pid, progress: Progress(isQuiet: quiet))
        let outcome = try conductor.run()
        let report = Report(mode: mode, urls: urls, outcome: outcome, serverPID: pid)
        Output.write(json ? report.json.text + "\n" : report.table, to: STDOUT_FILENO)
        if !quiet && json { for line in report.warnings { Output.write("wsbench: \(line)\n", to: STDERR_FILENO) } }
        if !report.isClean { throw ExitCode(1) }
    }
}

/// The duration and rate of the modes that publish.
struct TimingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The duration of the measurement.", valueName: "time"))
    var duration = TimeSpan(seconds: 10)

    @Option(help: ArgumentHelp("The time of publishing before the measurement.", valueName: "time"))
    var warmup = TimeSpan(seconds: 2)

    @Option(
        help: ArgumentHelp("Open loop: messages per second in all, sent on schedule.", valueName: "count"))
    var rate: ConnectRate?

    func validate() throws {
        guard duration.nanoseconds > 0 else { throw ValidationError("--duration 0: there is nothing to measure") }
        if let rate, rate.perSecond <= 0 { throw ValidationError("--rate 0: leave it out for the closed loop") }
    }
}
