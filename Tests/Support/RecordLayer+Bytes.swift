import Glibc

@testable import TLSRecords

/// Records as bytes.
extension RecordLayer {
    /// Seals bytes that come in these pieces.
    mutating func sealed(_ pieces: [[UInt8]], _ ciphers: RecordCiphers) throws(TLSFault) -> [UInt8] {
        let count = pieces.reduce(0) { $0 + $1.count }
        var output = [UInt8](repeating: 0, count: sealedByteCount(of: count))
        var copies = pieces.map { piece in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, piece.count), alignment: 1)
            copy.copyBytes(from: piece)
            return iovec(iov_base: copy.baseAddress, iov_len: piece.count)
        }
        defer { for copy in copies { copy.iov_base?.deallocate() } }
        var written = 0
        var fault: TLSFault?
        output.withUnsafeMutableBytes { output in
            copies.withUnsafeMutableBufferPointer { copies in
                do throws(TLSFault) {
                    written = try seal(UnsafeBufferPointer(copies), into: output, with: ciphers)
                } catch { fault = error }
            }
        }
        if let fault { throw fault }
        return Array(output[..<written])
    }

    mutating func sealed(_ alert: TLSAlert, _ ciphers: RecordCiphers) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: 64)
        let count = try output.withUnsafeMutableBytes { try seal(alert, into: $0, with: ciphers) }
        return Array(output[..<count])
    }

    /// Opens records, and returns their data together; nil if the peer has closed behind it.
    mutating func opened(_ records: [UInt8], _ ciphers: RecordCiphers) throws(TLSFault) -> [UInt8]? {
        var records = records
        var data: [UInt8] = []
        var fault: TLSFault?
        var isClosed = false
        records.withUnsafeMutableBytes { all in
            var rest = all
            do throws(TLSFault) {
                while let count = RecordHeader.recordByteCount(UnsafeRawBufferPointer(rest)), count <= rest.count {
                    switch try open(UnsafeMutableRawBufferPointer(rebasing: rest[..<count]), with: ciphers) {
                    case .data(let bytes): data += bytes
                    case .nothing: break
                    case .closed: isClosed = true
                    }
                    rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
                }
            } catch { fault = error }
        }
        if let fault { throw fault }
        return isClosed ? nil : data
    }
}
