import CLinux
import Glibc

/// A file in memory: written once, sealed, and read by another process (memfd_create(2)).
package final class MemoryFile {
    /// The contents; empty if the file can't be read. They are valid as long as the object is.
    package let bytes: UnsafeRawBufferPointer

    /// Maps a file into memory and closes its descriptor.
    package init(reading descriptor: Int32) {
        defer { close(descriptor) }
        var status = stat()
        let size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        let address = size > 0 ? mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : MAP_FAILED
        let isMapped = address != nil && address != MAP_FAILED
        bytes = UnsafeRawBufferPointer(start: isMapped ? address : nil, count: isMapped ? size : 0)
    }

    /// Notes that a file is read, and returns how often that was noted before. The file's offset tells, which all who have
    /// the file share: whoever wrote it left it at the end.
    package static func noteReading(of descriptor: Int32) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return 0 }
        let offset = lseek(descriptor, 0, SEEK_CUR)
        let count = offset >= status.st_size ? 0 : Int(offset) + 1
        _ = lseek(descriptor, min(off_t(count), status.st_size - 1), SEEK_SET)
        return count
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }

    /// The descriptor of a sealed file with these pieces; negative if there is no memory for it, or it is forbidden,
    /// with the reason in `errno`.
    ///
    /// - Parameter pieces: are freed one after the other, so that there is never twice all of them.
    package static func make(name: String, _ pieces: inout [[UInt8]]) -> Int32 {
        let descriptor = clinux_memory_file(name)
        guard descriptor >= 0 else { return -1 }
        var error: Int32 = 0
        for index in pieces.indices where error == 0 {
            error = write(pieces[index], to: descriptor)
            pieces[index] = []
        }
        pieces = []
        if error == 0 { error = clinux_seal(descriptor) }
        guard error != 0 else { return descriptor }
        close(descriptor)
        errno = error
        return -1
    }

    /// Writes all bytes. Returns 0, or an errno.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let slice = UnsafeRawBufferPointer(rebasing: rest)
                let count = Glibc.write(descriptor, slice.baseAddress, slice.count)
                if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return errno }
            }
            return 0
        }
    }
}
