import ArgumentParser

/// A number of messages of one size: `64KiBx20`.
struct Burst: ExpressibleByArgument, Equatable {
    var size: ByteCount
    var count: Int

    init?(argument: String) {
        guard let cross = argument.lastIndex(of: "x"), let size = ByteCount(argument: String(argument[..<cross])),
            let count = Int(argument[argument.index(after: cross)...]), 1...1_000_000 ~= count
        else { return nil }
        self.size = size
        self.count = count
    }
}
