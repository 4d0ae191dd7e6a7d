import ArgumentParser

/// The number of connections opened per second: `500`, `500/s`; 0 means as many as possible.
struct ConnectRate: ExpressibleByArgument, Equatable {
    var perSecond: Double

    init(_ perSecond: Double) { self.perSecond = perSecond }

    init?(argument: String) {
        guard let (number, unit) = Number.split(argument), unit.isEmpty || unit == "/s" else { return nil }
        perSecond = number
    }

    var defaultValueDescription: String { perSecond == 0 ? "0" : "\(Number.fixed(perSecond, 0))/s" }
}
