import Settings

/// The keys about sources outside.
extension Schema {
    static let consume: [SchemaKey<Settings.Consume>] = [
        SchemaKey("source", \.source, .choice(), .restart, required: true, "what the records are read from"),
        SchemaKey(
            "url", \.url, .sourceURLOrNone, .restart, isSecret: true, example: "\"redis://10.0.0.5:6379\"",
            "where the source is; \"\" is the server of broker.url"),
        SchemaKey(
            "password_file", \.passwordFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/redis.password\"",
            "the file with the password for url"),
        SchemaKey(
            "ca_file", \.authorityFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/redis-ca.pem\"",
            "the file with the authorities that sign the server's certificate; \"\" is those of the system"),
        SchemaKey(
            "credentials_file", \.credentialsFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/nats.creds\"",
            "the file with the key or the credentials of a user of NATS"),
        SchemaKey(
            "stream", \.stream, .sourceName(), .restart, required: true, example: "\"orders\"",
            "the key or name of the stream, or the name of the topic or queue"),
        SchemaKey(
            "subject", \.subject, .sourceName(isOptional: true), .restart, example: "\"orders.>\"",
            "the subjects of a stream of NATS that are read; \"\" is all"),
        SchemaKey(
            "exchange", \.exchange, .sourceName(isOptional: true), .restart, example: "\"orders\"",
            "the exchange of RabbitMQ that the queue is bound to"),
        SchemaKey(
            "binding", \.binding, .sourceName(isOptional: true), .restart, example: "\"orders.#\"",
            "the routing keys by which it is bound"),
        SchemaKey(
            "group", \.group, .sourceName(), .restart,
            "the consumer group, in which each record is published once"),
        SchemaKey("from", \.from, .choice(), .restart, "the records with which a new group begins"),
        SchemaKey(
            "channel", \.channel, .channelOrNone, .restart, example: "\"orders\"",
            "the channel of all records; \"\" if each names its own"),
        SchemaKey(
            "channel_field", \.channelField, .sourceName(), .restart,
            "the field, header or member with the name of a record's channel"),
        SchemaKey("data_field", \.dataField, .sourceName(), .restart, "the field with the message"),
        SchemaKey("format", \.format, .choice(), .restart, "what the message is"),
        SchemaKey(
            "dead_letter", \.deadLetter, .sourceName(isOptional: true), .restart, example: "\"orders-failed\"",
            "the stream that takes the records that can't be published"),
    ]
}
