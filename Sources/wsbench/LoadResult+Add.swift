extension LoadResult {
    /// Adds another thread's figures; the delivery accounts are not merged.
    mutating func add(_ other: LoadResult) {
        response.add(other.response)
        service.add(other.service)
        quiet.add(other.quiet)
        handshakes.add(other.handshakes)
        sentCount += other.sentCount
        unsentCount += other.unsentCount
        measuredSentCount += other.measuredSentCount
        measuredDeliveryCount += other.measuredDeliveryCount
        compressedCount += other.compressedCount
        foreignCount += other.foreignCount
        othersCount += other.othersCount
        damagedCount += other.damagedCount
        pingCount += other.pingCount
        stuckCount += other.stuckCount
        handshakeCount += other.handshakeCount
        openedCount += other.openedCount
        lastHandshake = max(lastHandshake, other.lastHandshake)
        failedCount += other.failedCount
        compressedConnectionCount += other.compressedConnectionCount
        refusals.merge(other.refusals, uniquingKeysWith: +)
        errors.merge(other.errors, uniquingKeysWith: +)
        ends.merge(other.ends, uniquingKeysWith: +)
        stalledEnds.merge(other.stalledEnds, uniquingKeysWith: +)
    }
}
