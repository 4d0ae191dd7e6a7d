import Settings

/// The keys about endpoints, channels and authentication.
extension Schema {
    static let endpoint: [SchemaKey<Settings.Endpoint>] = [
        SchemaKey(
            "path", \.path, .endpointPath, .live, required: true, example: "\"/ws\"",
            "the path that clients connect to"),
        SchemaKey(
            "protocol", \.protocol, .choice(\.name), .live,
            "what the messages of its clients mean"),
        SchemaKey(
            "channel", \.channel, .channelOrNone, .live, example: "\"lobby\"",
            "the channel that its clients are in from the start"),
    ]

    static let channel: [SchemaKey<Settings.Channel>] = [
        SchemaKey("presence", \.settings.presence, .boolean, .live, "whether members may ask who is in the channel"),
        SchemaKey("join_leave", \.settings.joinLeave, .boolean, .live, "whether members are told who comes and goes"),
        SchemaKey(
            "leave_delay", \.settings.leaveDelay, .duration(.zero ... .seconds(600)), .live,
            "how long a user whose connection broke still counts as here"),
        SchemaKey(
            "history", \.settings.history, .integer(0...1_000_000), .live, example: "100", "messages that are kept"),
        SchemaKey(
            "history_ttl", \.settings.historyTTL, .duration(.seconds(1) ... .seconds(30 * 86_400)), .live,
            "how long they are kept"),
        SchemaKey(
            "history_bytes", \.settings.historyByteCount, .byteCount(1024...1 << 30), .live,
            "the most that the channel's history may take"),
        SchemaKey("publish", \.settings.publish, .choice(), .live, "which clients may publish"),
        SchemaKey("subscribe", \.settings.subscribe, .choice(), .live, "which clients may join"),
        SchemaKey(
            "max_members", \.settings.maxMembers, .integer(0...10_000_000), .live, example: "50",
            "connections that may be in it at the same time; 0 is no limit"),
        SchemaKey("echo", \.settings.echo, .boolean, .live, "whether senders get their own messages, too"),
    ]

    static let auth: [SchemaKey<Settings>] = [
        SchemaKey(
            "mode", \.auth.mode, .choice(), .live,
            "how a client shows who it is"),
        SchemaKey(
            "hmac_secret_file", \.auth.hmacSecretFile, .keyFileOrNone, .live, example: "\"/etc/wsd/jwt.secret\"",
            "the file with the secret of HS256, HS384 and HS512"),
        SchemaKey(
            "public_key_files", \.auth.publicKeyFiles, .array(of: .keyFile, "paths"), .live,
            example: "[\"/etc/wsd/jwt.pem\"]",
            "PEM files with the public keys of the other algorithms"),
        SchemaKey(
            "jwks", \.auth.jwks, .keySetOrNone, .live, example: "\"https://login.example.org/jwks.json\"",
            "a file or an https URL with a JSON Web Key Set"),
        SchemaKey(
            "issuer", \.auth.issuer, .text, .live, example: "\"https://login.example.org\"",
            "the issuer that a token must have"),
        SchemaKey(
            "audience", \.auth.audience, .text, .live, example: "\"wsd\"",
            "the audience that a token must have"),
        SchemaKey(
            "leeway", \.auth.leeway, .duration(.zero ... .seconds(3600)), .live,
            "how far the clocks may be apart"),
        SchemaKey(
            "max_lifetime", \.auth.maxLifetime,
            .duration(.seconds(1) ... .seconds(3650 * 86_400), zero: "no bound"), .live,
            "the longest that a token is good"),
        SchemaKey("require_exp", \.auth.requireExpiry, .boolean, .live, "whether a token must have an exp"),
        SchemaKey(
            "cookie", \.auth.cookie, .cookie, .live, example: "\"token\"",
            "a cookie that may carry the token"),
        SchemaKey(
            "refresh_grace", \.auth.refreshGrace, .duration(.seconds(1) ... .seconds(3600)), .live,
            "how long a client may stay after its token has expired, unless it sends a newer one"),
    ]
}
