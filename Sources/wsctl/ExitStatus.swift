/// The exit statuses, from sysexits.h where it has one: the same for every command, and in the help of each.
enum ExitStatus {
    /// The section that ends the help of each command.
    static let help = """


        EXIT STATUS
          0   success
          1   the command failed, or nothing matched
          64  wrong usage
          69  the daemon can't be reached, doesn't answer, or ended meanwhile
          77  not permitted
          78  the configuration or a key is invalid
        """
}
