/// What a URL answered with.
struct FetchedKeySet: Sendable {
    var body: [UInt8]
    /// How long the answer is good (`Cache-Control: max-age`, RFC 9111); nil where it didn't say.
    var lifetime: Duration?
}
