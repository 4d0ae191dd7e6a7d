/// The sources of the keys for checking tokens.
package struct KeySources: Sendable, Hashable {
    /// A file, and its name in errors.
    package struct File: Sendable, Hashable {
        package var path: String
        package var name: String

        package init(path: String, name: String) {
            self.path = path
            self.name = name
        }
    }

    /// The file with the secret of HS256, HS384 and HS512.
    package var secret: File?
    /// Files with one public key each, in PEM.
    package var publicKeys: [File] = []
    /// A file with a JSON Web Key Set.
    package var keySet: File?
    /// The http or https URL of a JSON Web Key Set.
    package var keySetURL: String?

    package init() {}
}

/// The keys from files.
struct FileKeys: Sendable {
    var secret: VerificationKey?
    var others: [VerificationKey] = []
    /// Warnings for the administrator.
    var warnings: [String] = []

    /// Reads all files, or throws every error.
    init(_ sources: KeySources) async throws(KeyErrors) {
        var errors: [KeyError] = []
        if let file = sources.secret {
            do throws(KeyError) {
                secret = try await VerificationKey(secretFile: file.path, shownAs: file.name)
                if KeyFileReader.isReadableByEverybody(file.path) {
                    warnings.append("\(file.name): everybody can read this secret; chmod o= \(file.path)")
                }
            } catch { errors.append(error) }
        }
        for file in sources.publicKeys {
            do throws(KeyError) {
                let bytes = try KeyFileReader.contents(of: file.path, shownAs: file.name)
                others.append(try await VerificationKey(pem: bytes, from: file.name))
            } catch { errors.append(error) }
        }
        if let file = sources.keySet {
            do throws(KeyError) {
                let bytes = try KeyFileReader.contents(of: file.path, shownAs: file.name)
                let set = try await KeySet(json: bytes, allowsSecrets: true, from: file.name)
                others += set.keys
                if set.ignoredCount > 0 {
                    warnings.append("\(file.name): \(set.ignoredCount) keys left out, no token can be signed with them")
                }
            } catch { errors.append(error) }
        }
        guard errors.isEmpty else { throw KeyErrors(errors: errors) }
    }

    var all: [VerificationKey] { (secret.map { [$0] } ?? []) + others }
}
