#if RANDOM_PROGRAMS
    /// Runs random programs without libFuzzer: `hub SECONDS [SEED]`. The seed of each is the number behind the last one's.
    @main
    enum RandomPrograms {
        static func main() {
            let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
            let duration = Duration.seconds(Double(arguments.first ?? 30))
            var seed = arguments.count > 1 ? arguments[1] : UInt64.random(in: 0..<1_000_000_000)
            let start = ContinuousClock.now
            var count = 0
            print("The first seed is \(seed).")
            repeat {
                var random = Random(seed: seed)
                Run.execute(Mutation.program(&random), name: "seed \(seed)")
                seed += 1
                count += 1
            } while ContinuousClock.now - start < duration
            print("\(count) programs ran.")
        }
    }
#endif
