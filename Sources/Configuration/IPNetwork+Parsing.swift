internal import Base

extension IPNetwork {
    /// Parses "address/length" or an address, with errors that say the way out.
    static func parse(_ text: String) throws(InvalidValue) -> IPNetwork {
        let shown = quoted(text)
        do {
            return try IPNetwork(strictly: text)
        } catch {
            switch error {
            case .address:
                throw InvalidValue(
                    "\(shown) is no range of addresses; examples are \"10.0.0.0/8\", \"2001:db8::/32\" and "
                        + "\"127.0.0.1\"")
            case .prefixLength(let most):
                throw InvalidValue("\(shown): the length of the prefix is a number from 0 to \(most)")
            case .bitsBeyondPrefix(let meant):
                throw InvalidValue("\(shown) has bits beyond its prefix; write \"\(meant)\"")
            }
        }
    }
}
