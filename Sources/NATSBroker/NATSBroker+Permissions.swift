extension NATSBroker {
    /// The subjects that are enough for a prefix, for a user who may publish and subscribe to no others.
    package static func permissions(prefix: String) -> (publish: [String], subscribe: [String]) {
        let prefix = NATSSubjects.escaped(prefix)
        let questions = [
            "STREAM.CREATE", "STREAM.UPDATE", "STREAM.MSG.GET", "STREAM.MSG.DELETE", "DIRECT.GET", "CONSUMER.CREATE",
            "CONSUMER.DELETE",
        ]
        return (
            ["\(prefix).>", "$JS.FC.>"] + questions.map { "$JS.API.\($0).>" },
            [
                "\(prefix).live.*", "\(prefix).beat", "\(prefix).hello", "\(prefix).bye", "\(prefix).back",
                "\(prefix).nodes", "\(prefix).node.*", "_INBOX.>",
            ]
        )
    }
}

extension NATSStreamSource {
    /// The subjects that are enough to read a stream, for a user who may publish and subscribe to no others.
    package static func permissions(stream: String, group: String) -> (publish: [String], subscribe: [String]) {
        let reader = NATSSubjects.escaped(stream)
        let questions = [
            "STREAM.INFO.\(stream)", "CONSUMER.INFO.\(stream).\(group)", "CONSUMER.DURABLE.CREATE.\(stream).\(group)",
            "CONSUMER.MSG.NEXT.\(stream).\(group)", "STREAM.CREATE.wsd_reader_\(reader)",
            "STREAM.MSG.GET.wsd_reader_\(reader)",
        ]
        return (
            questions.map { "$JS.API.\($0)" } + [
                "$JS.ACK.\(stream).\(group).>", "wsd.reader.\(reader).\(NATSSubjects.escaped(group))",
            ],
            ["_INBOX.>"]
        )
    }
}
