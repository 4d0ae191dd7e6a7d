import Glibc
import NIOCore
import TLSRecords

extension ByteBuffer {
    /// The size of the first record; nil if not even its header is there.
    var firstRecordByteCount: Int? { withUnsafeReadableBytes { RecordHeader.recordByteCount($0) } }
}

extension RecordLayer {
    mutating func seal(
        _ content: ByteBuffer, into output: UnsafeMutableRawBufferPointer, with ciphers: RecordCiphers
    ) throws(TLSFault) -> Int {
        let result = content.withUnsafeReadableBytes { bytes -> Result<Int, TLSFault> in
            var piece = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            return withUnsafePointer(to: &piece) { piece in
                do throws(TLSFault) {
                    return .success(
                        try seal(UnsafeBufferPointer(start: piece, count: 1), into: output, with: ciphers))
                } catch { return .failure(error) }
            }
        }
        return try result.get()
    }
}
