import Base
import Control
import Operations
import Testing

@testable import wsctl

@Suite("The text of an event")
struct EventTextTests {
    @Test func `says what it stands for, and whether that was of one address`() throws {
        var event = Event(.refuse, millisecondsSinceEpoch: 0)
        #expect(EventText.moreLine(event) == nil)
        for (isOne, addresses) in [(true, ""), (false, " from several addresses")] {
            event.more = Event.Others(
                count: 14_980, first: try #require(Timestamp("2026-11-28T10:01:02.003Z")),
                last: try #require(Timestamp("2026-11-28T10:01:09.250Z")), sameAddress: isOne)
            #expect(
                EventText.moreLine(event) == "… and 14,980 more like it\(addresses) between 10:01:02 and 10:01:09")
        }
    }

    @Test(arguments: [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (-5_000, "-5,000")])
    func `has numbers to the last digit`(_ number: Int, _ text: String) {
        #expect(HumanText.grouped(number) == text)
    }
}
