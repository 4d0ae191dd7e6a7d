/// The exit statuses, from sysexits.h where it has one: the same for every command, and in the help of each.
enum ExitStatus {
    /// Behind what a command's help says about itself.
    static let help = """


        EXIT STATUS
          0   done
          1   failed, or nothing matched
          64  wrong usage
          69  the daemon can't be reached, doesn't answer, or has ended meanwhile
          77  not permitted
          78  the configuration or a key is wrong
        """
}
