@testable import Configuration
import Testing

@Test func smoke() throws {
    print(try ConfigurationLoader(defaultPath: "/nonexistent").load().printed)
    do throws(ConfigurationErrors) {
        _ = try ConfigurationLoader().load(texts: [("a.toml", """
            workers = 3
            max_conn = 4
            [sever]
            x = 1
            [server]
            max_conections = 1
            max-connections = 1
            listen = ["example.org:80", "::1:80", "8080", "*:1", "[::1]", "1.2.3.4:99999", "[fe80::1%eth0]:1", "unix:/x", "1.2.3:4"]
            workers = "four"
            compression = true
            handshake_timeout = 10
            max_header_size = "64K"
            frobnicate = 2
            allowed_origins = ["example.org", "https://exa*.org", "https://a/b", 3, "*.org"]
            trusted_proxies = "10.0.0.0/8"
            [drain]
            period = "60s"
            [log]
            level = "warn"
            [auth]
            mode = "jwt"
            issuer = "x"
            [[endpoint]]
            path = "ws"
            protocol = "json"
            [[endpoint]]
            channel = ""
            [broker]
            url = "redis://:pw@h"
            type = 1979-01-01
            """), ("b.toml", "a=1\na=2"), ("c.toml", "server = 1\n[endpoint]\n[queue]\npolicy=\"drop_oldest\"\nlimit=\"1KB\"\nwrite_timeout=\"10 s\"")])
    } catch { print(error) }
}
