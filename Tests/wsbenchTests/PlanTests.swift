import Testing

@testable import wsbench

@Suite("A plan")
struct PlanTests {
    /// The numbers of all connections, thread by thread, and those of the publishers among them.
    private func numbers(_ plan: Plan) -> (connections: [Int], publishers: [Int]) {
        var result: (connections: [Int], publishers: [Int]) = ([], [])
        for thread in 0..<plan.threadCount {
            let numbers = (0..<plan.connectionCount(ofThread: thread)).map { plan.number(of: $0, thread: thread) }
            result.connections += numbers
            result.publishers += numbers.prefix(plan.publisherCount(ofThread: thread))
        }
        return (result.connections.sorted(), result.publishers.sorted())
    }

    @Test(
        "gives each connection to one thread, and finds each publisher again", arguments: [1, 2, 3, 7], [false, true])
    func threads(_ threadCount: Int, _ isStorm: Bool) {
        var plan = Plan(targets: [], connectionCount: 20)
        plan.loadThreadCount = threadCount
        plan.publisherCount = 5
        plan.isStorm = isStorm
        let (connections, publishers) = numbers(plan)
        #expect(connections == Array(0..<20))
        #expect(publishers == Array(0..<5))
        for publisher in 0..<5 {
            let (thread, local) = plan.place(ofPublisher: publisher)
            #expect(plan.number(of: local, thread: thread) == publisher)
            #expect(local < plan.publisherCount(ofThread: thread))
        }
    }

    @Test("lets the probes of a storm have a thread for themselves")
    func probes() {
        var plan = Plan(targets: [], connectionCount: 20)
        plan.isStorm = true
        #expect(plan.threadCount == 1)
        plan.publisherCount = 4
        #expect(plan.threadCount == 2)
        #expect(plan.connectionCount(ofThread: 0) == 4)
        #expect(plan.publisherCount(ofThread: 1) == 0)
    }

    @Test("takes more source addresses where one has too few ports")
    func sources() {
        #expect(LocalPorts.sourceCount(connections: 10, targets: 1, portCount: 100) == 1)
        #expect(LocalPorts.sourceCount(connections: 90, targets: 1, portCount: 100) == 1)
        #expect(LocalPorts.sourceCount(connections: 91, targets: 1, portCount: 100) == 2)
        #expect(LocalPorts.sourceCount(connections: 91, targets: 2, portCount: 100) == 1)
    }
}
