import Authentication
import Settings
import TLSHandshake

extension Settings {
    /// Checks the files that these settings name, as a start reads them: keys of tokens and of the API, certificates, and what
    /// the broker and the sources of records need. Throws every error.
    ///
    /// - Parameter loadsPlugins: whether plugins are loaded, which can't be unloaded, or only looked for.
    /// - Returns: what is no error, but the administrator should know.
    func checkFiles(loadsPlugins: Bool) async throws(KeyErrors) -> [String] {
        var errors: [KeyError] = []
        var notices: [String] = []
        do throws(KeyErrors) {
            if let sources = auth.keySources { try await Authenticator.check(sources) }
        } catch { errors += error.errors }
        do throws(KeyErrors) { _ = try api.keys() } catch { errors += error.errors }
        do throws(KeyErrors) {
            // As a start takes them: the notices name those that are not valid now.
            notices = try tls.context(TicketKeys(), takesAnyDates: true)?.notices ?? []
            notices += tls.notices(openPlainAddresses: openPlainAddresses)
        } catch { errors += error.errors }
        do throws(KeyErrors) { try broker.check(loadsPlugin: loadsPlugins) } catch { errors += error.errors }
        for consume in consumers {
            do throws(KeyErrors) { try consume.check(loadsPlugin: loadsPlugins) } catch { errors += error.errors }
        }
        guard errors.isEmpty else { throw KeyErrors(errors: errors) }
        return notices
    }
}
