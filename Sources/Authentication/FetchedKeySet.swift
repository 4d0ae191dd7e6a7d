/// The answer of a URL.
struct FetchedKeySet: Sendable {
    var body: [UInt8]
    /// How long the answer is valid (`Cache-Control: max-age`, RFC 9111); nil if it doesn't say.
    var lifetime: Duration?
}
