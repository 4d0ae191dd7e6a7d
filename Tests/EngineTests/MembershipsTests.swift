import Testing

@testable import Engine

@Suite("The memberships of a client") struct MembershipsTests {
    private func member(_ channel: UInt32, at position: UInt32 = 7) -> Membership {
        Membership(channel: channel, position: position, generation: 1, startSeq: 0, droppedBefore: 0)
    }

    @Test("a client that joins becomes a member when the home has answered")
    func joins() {
        var memberships = Memberships()
        memberships.begin(3)
        #expect(memberships.contains(3))
        #expect(memberships.joined(3) == nil)
        #expect(memberships.leave(3) == nil, "it has not joined yet")
        #expect(memberships.settle(3) == .joining)
        #expect(!memberships.contains(3))
        memberships.enter(member(3))
        #expect(memberships.joined(3)?.position == 7)
        #expect(memberships.settle(3) == nil, "no answer is awaited")
    }

    @Test("a client that is taken out while it joins is told by the answer to its request")
    func revoked() {
        var memberships = Memberships()
        memberships.begin(3)
        guard case .revoked? = memberships.takeOut(3) else {
            Issue.record("it was joining")
            return
        }
        #expect(memberships.takeOut(3) == nil, "once")
        #expect(memberships.current(3) == nil)
        #expect(memberships.settle(3) == .revoked)
        #expect(memberships.isEmpty)
    }

    @Test("a member that is taken out or leaves is a member no more")
    func leaves() {
        var memberships = Memberships()
        memberships.enter(member(3, at: 1))
        memberships.enter(member(4, at: 2))
        memberships.move(to: 9, in: 4)
        guard case .left(let left)? = memberships.takeOut(4) else {
            Issue.record("it was a member")
            return
        }
        #expect(left.position == 9)
        #expect(memberships.leave(3)?.position == 1)
        #expect(memberships.leave(3) == nil)
        #expect(memberships.takeOut(4) == nil)
    }

    @Test("whatever happens in whatever order, the states are those of a table", arguments: 0..<20)
    func schedule(_ number: Int) {
        var random = Seeded(seed: UInt64(number))
        var memberships = Memberships()
        var model: [UInt32: Membership.State] = [:]
        for step in 0..<500 {
            let channel = UInt32.random(in: 0..<6, using: &random)
            let comment: Comment = "seed \(number), step \(step), channel \(channel)"
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where model[channel] == nil:
                memberships.begin(channel)
                model[channel] = .joining
            case 1:
                let state = memberships.settle(channel)
                #expect(state == (model[channel] == .joined ? nil : model[channel]), comment)
                if model[channel] != .joined { model[channel] = nil }
                if state == .joining {
                    memberships.enter(member(channel, at: UInt32(step)))
                    model[channel] = .joined
                }
            case 2:
                let removal = memberships.takeOut(channel)
                switch (model[channel], removal) {
                case (.joining?, .revoked?): model[channel] = .revoked
                case (.joined?, .left?): model[channel] = nil
                case (.revoked?, nil), (nil, nil): break
                default: Issue.record("\(String(describing: model[channel])): \(String(describing: removal))", )
                }
            case 3:
                #expect((memberships.leave(channel) != nil) == (model[channel] == .joined), comment)
                if model[channel] == .joined { model[channel] = nil }
            case 4 where step % 40 == 0:
                let left = memberships.leaveAll().map(\.channel)
                #expect(Set(left) == Set(model.filter { $0.value == .joined }.keys), comment)
                model = [:]
            default:
                memberships.move(to: UInt32(step), in: channel)
                if model[channel] == .joined { #expect(memberships.joined(channel)?.position == UInt32(step), comment) }
            }
            #expect(memberships.count == model.count, comment)
            for (channel, state) in model {
                #expect(memberships.contains(channel), comment)
                #expect((memberships.joined(channel) != nil) == (state == .joined), comment)
                #expect((memberships.current(channel) != nil) == (state != .revoked), comment)
            }
        }
    }
}
