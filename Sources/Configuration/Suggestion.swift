/// Finds the name that a person probably meant by an unknown one.
enum Suggestion {
    /// The candidate nearest to a name, if it is near enough to be shown: at most one typing error in three letters, or
    /// an abbreviation such as "warn".
    static func nearest(to name: String, among candidates: [String]) -> String? {
        let name = folded(name)
        let nearest =
            candidates
            .map { (candidate: $0, distance: distance(from: name, to: folded($0))) }
            .min { $0.distance < $1.distance }
        if let nearest, nearest.distance <= max(1, min(name.count, nearest.candidate.count) / 3) {
            return nearest.candidate
        }
        guard name.count >= 3 else { return nil }
        return candidates.filter { folded($0).hasPrefix(name) }.min { $0.count < $1.count }
    }

    /// Lower case, with "-" for "_": such differences don't count.
    private static func folded(_ name: String) -> String {
        String(name.lowercased().map { $0 == "_" ? "-" : $0 })
    }

    /// The number of letters that must be added, dropped, replaced or swapped with their neighbour (optimal string
    /// alignment).
    static func distance(from left: String, to right: String) -> Int {
        let left = Array(left)
        let right = Array(right)
        // A name this long is not a typing error, and the table below grows with the product of the lengths.
        guard left.count <= 64, right.count <= 64 else { return .max }
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var row = [i + 1]
            for (j, b) in right.enumerated() {
                var cost = min(row[j] + 1, last[j + 1] + 1, last[j] + (a == b ? 0 : 1))
                if i > 0, j > 0, a == right[j - 1], left[i - 1] == b {
                    cost = min(cost, beforeLast[j - 1] + 1)
                }
                row.append(cost)
            }
            (beforeLast, last) = (last, row)
        }
        return last[right.count]
    }
}
