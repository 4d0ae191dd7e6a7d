import Testing

@testable import wsbench

@Suite("The schedule of the open loop")
struct SendScheduleTests {
    private let schedule = SendSchedule(start: 1000, rate: 1e6, publisherCount: 1, publisher: 0)

    @Test("spaces messages by the rate")
    func times() {
        #expect((0..<4).map { schedule.time(of: $0) } == [1000, 2000, 3000, 4000])
    }

    @Test("lets publishers take turns")
    func turns() {
        let times = (0..<3).map { publisher in
            let schedule = SendSchedule(start: 0, rate: 1e9, publisherCount: 3, publisher: publisher)
            return (0..<3).map { schedule.time(of: $0) }
        }
        #expect(times == [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
    }

    @Test("counts what is due, the present moment included")
    func due() {
        #expect(schedule.dueCount(at: 0) == 0)
        #expect(schedule.dueCount(at: 999) == 0)
        #expect(schedule.dueCount(at: 1000) == 1)
        #expect(schedule.dueCount(at: 1999) == 1)
        #expect(schedule.dueCount(at: 2000) == 2)
        #expect(SendSchedule(start: 0, rate: 1e9, publisherCount: 3, publisher: 2).dueCount(at: 1) == 0)
    }

    @Test(
        "agrees with itself at every message, for rates that don't divide a second",
        arguments: [3, 7, 0.3, 1234.5, 333_333])
    func agreement(_ rate: Double) {
        let schedule = SendSchedule(start: 123_456_789, rate: rate, publisherCount: 2, publisher: 1)
        for sequence in [0, 1, 2, 10, 999, 1_000_000] {
            #expect(schedule.dueCount(at: schedule.time(of: sequence)) == sequence + 1)
            #expect(schedule.dueCount(at: schedule.time(of: sequence) - 1) == sequence)
        }
    }

    @Test("charges what was due and never sent with the time it had waited")
    func unsent() {
        #expect(schedule.waits(ofUnsentFrom: 2, notBefore: 0, end: 6000) == [3000, 2000, 1000])
        #expect(schedule.waits(ofUnsentFrom: 5, notBefore: 0, end: 6000) == [])
        #expect(schedule.waits(ofUnsentFrom: 0, notBefore: 3000, end: 5000) == [2000, 1000], "not the warm-up's")
    }

    @Test("shows a pause that latency from sending hides")
    func coordinatedOmission() throws {
        // A server that answers in 10 µs and stands still for 100 ms once, in a second of one message a millisecond.
        let schedule = SendSchedule(start: 0, rate: 1000, publisherCount: 1, publisher: 0)
        var response = Latency()
        var service = Latency()
        var free: UInt64 = 0
        for sequence in 0..<1000 {
            let due = schedule.time(of: sequence)
            let sent = max(due, free)
            let answered = sent + 10_000 + (sequence == 500 ? 100_000_000 : 0)
            free = answered
            response.record(answered - due)
            service.record(answered - sent)
        }
        let shown = try #require(response.summary)
        let hidden = try #require(service.summary)
        #expect(hidden.p99 < 11, "one slow message of a thousand")
        #expect(shown.p99 > 80_000, "the hundred that were due meanwhile")
        #expect(shown.p90 > 1_000)
        #expect(shown.p50 < 11)
    }
}
