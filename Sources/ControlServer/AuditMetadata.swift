import Control
import Logging
import Varlink

extension PeerCredentials {
    /// Who it was, as fields of a log line.
    var metadata: Logger.Metadata {
        ["peerUID": "\(userID)", "peerGID": "\(groupID)", "peerPID": "\(processID)"]
    }
}

extension ConnectionFilter {
    /// What was selected, for the log. A list of ids may be long: its length says enough.
    var summary: String {
        if all { return "all" }
        var parts: [String] = []
        if let ids { parts.append(ids.count == 1 ? "id=\(ids[0])" : "ids=\(ids.count)") }
        if let ip { parts.append("ip=\(ip)") }
        if let endpoint { parts.append("endpoint=\(endpoint)") }
        if let channel { parts.append("channel=\(channel)") }
        if let user { parts.append("user=\(user)") }
        return parts.joined(separator: " ")
    }
}
