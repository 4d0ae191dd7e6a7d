/// A queue in one array: taking an element moves a position, and the space of taken elements is reclaimed in bulk.
struct Queue<Element> {
    private var elements: ContiguousArray<Element?> = []
    private var position = 0

    var isEmpty: Bool { position == elements.count }
    var count: Int { elements.count - position }

    mutating func append(_ element: Element) { elements.append(element) }

    /// The oldest element; nil if the queue is empty.
    var first: Element? { position < elements.count ? elements[position] : nil }

    /// Takes the oldest element; nil if the queue is empty.
    @discardableResult
    mutating func takeFirst() -> Element? {
        guard position < elements.count else { return nil }
        defer {
            elements[position] = nil
            position += 1
            if position == elements.count {
                elements.removeAll(keepingCapacity: elements.count < 4_096)
                position = 0
            } else if position >= 1_024, position * 2 >= elements.count {
                elements.removeFirst(position)
                position = 0
            }
        }
        return elements[position]
    }

    /// Removes the elements that don't meet a condition.
    mutating func keep(where condition: (Element) -> Bool) {
        elements.removeSubrange(..<position)
        position = 0
        elements.removeAll { !($0.map(condition) ?? false) }
    }
}
