/// A value on the heap that a trivial record refers to. Nothing frees it but `free`.
@dynamicMemberLookup
struct Boxed<Value: ~Copyable> {
    private let pointer: UnsafeMutablePointer<Value>

    init(_ value: consuming Value) {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: value)
    }

    /// Destroys the value and frees its memory. The box must not be used after this, nor any copy of it.
    func free() {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }

    var value: Value {
        @inline(__always) unsafeAddress { UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { pointer }
    }

    /// Whether this is the same box as another.
    func isSame(as other: Boxed) -> Bool { pointer == other.pointer }
}

extension Boxed {
    /// A member of the value.
    subscript<Member>(dynamicMember member: WritableKeyPath<Value, Member>) -> Member {
        @inline(__always) get { pointer.pointee[keyPath: member] }
        @inline(__always) nonmutating _modify { yield &pointer.pointee[keyPath: member] }
    }

    /// A member of the value that does not change.
    subscript<Member>(dynamicMember member: KeyPath<Value, Member>) -> Member {
        @inline(__always) get { pointer.pointee[keyPath: member] }
    }
}
