@testable import TLSHandshake

/// Certificates that sign themselves: made with "openssl req -x509 -nodes -days 36500", and used for nothing else.
enum Certificates {
    static func ecdsa() throws(CertificateErrors) -> ServerCertificate { try make(ecdsaCertificate, ecdsaKey) }
    static func rsa() throws(CertificateErrors) -> ServerCertificate { try make(rsaCertificate, rsaKey) }
    static func other() throws(CertificateErrors) -> ServerCertificate { try make(otherCertificate, otherKey) }

    static func make(
        _ certificate: String, _ key: String, now: Int64 = 1_800_000_000
    ) throws(CertificateErrors) -> ServerCertificate {
        try ServerCertificate(certificate: Array(certificate.utf8), key: Array(key.utf8), now: now)
    }

    static let ecdsaCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBpjCCAU2gAwIBAgIUMR2ax/iJ5Pxz8C1OAaySP0/wZLIwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE2NTYwNFoYDzIxMjYxMTA1
        MTY1NjA0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAATRjDQL6sVMpj0ZbANTiZ/UKA8JXC3JpPlJ7KzYNHgOAa0i3XtGhe4L
        /oS4EjGRm8XO421UWx2VJTScZh9xpoZZo3sweTAdBgNVHQ4EFgQUbq9Iw1m7kkSO
        NVTMYIl33u78zKMwHwYDVR0jBBgwFoAUbq9Iw1m7kkSONVTMYIl33u78zKMwDwYD
        VR0TAQH/BAUwAwEB/zAmBgNVHREEHzAdgglsb2NhbGhvc3SCECoubG9jYWxob3N0
        LnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgJFtY0iHHPVmgVABXNRPZdnYVN1XIoDoc
        nUfRKVDVM4ECIAa3eECnRz0RJZD6dtDB2YzHluj3X0bcvR1XQ/c6xH6S
        -----END CERTIFICATE-----
        """
    static let ecdsaKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBt8H1ugL9BCgYrHc
        finQkv6kM02vRUzhUdnLMGM5E2ShRANCAATRjDQL6sVMpj0ZbANTiZ/UKA8JXC3J
        pPlJ7KzYNHgOAa0i3XtGhe4L/oS4EjGRm8XO421UWx2VJTScZh9xpoZZ
        -----END PRIVATE KEY-----
        """
    static let rsaCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIDMzCCAhugAwIBAgIUKmRR2+O6kdb/Qi7n8lU8C/n7GbowDQYJKoZIhvcNAQEL
        BQAwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE2NTYwNFoYDzIxMjYx
        MTA1MTY1NjA0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwggEiMA0GCSqGSIb3DQEB
        AQUAA4IBDwAwggEKAoIBAQDCdOOXdDkARK+BBcWPsIA4cI3fDmJcxO701amJTUSx
        Tq6geDuNCxDrqHubVgLYGi/CUZY7EbC3zkSPWDjHe/APr5dpzyJLF6VjPtQogrlu
        kwMdpWJCmZFX5Z54fdfKVLYDcnBzujz86RqKVJVDIXuJXzPw27D9ST6c5wC2K4oi
        h0pKsfLq2dyNH3TEZWzxbgceuDNIDFP5ydoAhuEemsY07HHn0klCW3fZjDZz1IbK
        CqLM26OHiGQyLGigHD71FueijCh6Kbx7x+5L9GInu6EG2dmKjff0TsrqEVrXbHnt
        BaFTkmUHaXoYv90KbiCyemUv6KSjof4VVOWlV93iND1bAgMBAAGjezB5MB0GA1Ud
        DgQWBBS46AnFFgitLkRreZXQjT1OcIDRTTAfBgNVHSMEGDAWgBS46AnFFgitLkRr
        eZXQjT1OcIDRTTAPBgNVHRMBAf8EBTADAQH/MCYGA1UdEQQfMB2CCWxvY2FsaG9z
        dIIQKi5sb2NhbGhvc3QudGVzdDANBgkqhkiG9w0BAQsFAAOCAQEAicx5FjeTncng
        R4MS8bpXXgRniTyw9C3f5sIEPpSBlO0UYFbC68ijLLWQIDH3n+SekqK8Hvlf1mqq
        dqoIAhU0YpWxdxvAxOdkVLipgc1OMYQq0sePIYZa/7avrOuzO+eURiagDOIp8GDo
        nTpUVhkIwaZDoY4BYoWDybRRhbPa42ecUGxW08z4ZtWPZ8s6zeumHKCt+JiLqaNb
        51IGIOeRaCGpIbAHpksh/6R6xXkPvv5hZrnjG0K+DdVydbHytBZbcYGISLww185q
        Qc9aTZKr7BwTWdG2exnBHzuFeq4bDYF7ucl7jp+UOM4iGY3xKQbIeIuL8Ej9r3AQ
        8ZI0Ctaj9g==
        -----END CERTIFICATE-----
        """
    static let rsaKey = """
        -----BEGIN PRIVATE KEY-----
        MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDCdOOXdDkARK+B
        BcWPsIA4cI3fDmJcxO701amJTUSxTq6geDuNCxDrqHubVgLYGi/CUZY7EbC3zkSP
        WDjHe/APr5dpzyJLF6VjPtQogrlukwMdpWJCmZFX5Z54fdfKVLYDcnBzujz86RqK
        VJVDIXuJXzPw27D9ST6c5wC2K4oih0pKsfLq2dyNH3TEZWzxbgceuDNIDFP5ydoA
        huEemsY07HHn0klCW3fZjDZz1IbKCqLM26OHiGQyLGigHD71FueijCh6Kbx7x+5L
        9GInu6EG2dmKjff0TsrqEVrXbHntBaFTkmUHaXoYv90KbiCyemUv6KSjof4VVOWl
        V93iND1bAgMBAAECggEAAMeKfRdkBIJQMhpxbjgMjDej38UfZ3R+85nbOzuR6kiy
        lhcn2wonx2YxVlOvqBvjs3PRnVYMnQB+uu7Cetzwbzk998fczZ49zQXGjgtWLJau
        jb5t/2UfVqvtBc7bFI/FvGkMU0vpSheL5nwJaQHN1tKTynHU65WcE4+icr5p7CsY
        R7vQN4RwoCHyjoA2FrQV4kGX7L/FO+0n9EQty5lNwAMDfY7cj0HHqq7H69Tly0JF
        DcrbftWZg94HZSqmWJuy5oARdKsBGUwCqxRyATY4b556jZ8BxXeoj8VT1r76G/JJ
        ov45JBst6D+L5m6C5LZsNn8Vk5d+nAT93seWWqdQlQKBgQD6vfWp5iRXlQUtVQMx
        hECldtbef9GHYjI3ZlCjoO+bGl6mOWr3JOBvGLHCH2UIro4IKsABoD5YM/VOM+3J
        +gY2cmpbNufsJ0ApbeNz0Al0HA6s17SW5L0V0C00qdV9Rli5cq4ZZ8yHZZHmqY0B
        w3yjfQtEUSPR00zEFfmPqV+1RwKBgQDGiMbAkn9AyQ6IbCB9/hB7e+lJpQFfuZo9
        8W7HlPXSuVJZQeoh9ETFWbDoFXxdFJKx4GZ5FpF9IL/OtTzPOdW4X/3ZITHDYVCl
        rGsISl/37tdHPOAedWUnF0SstVuWRsBL/CVg2xzUaRWHBHW9p+lJVf9JWJbkkGF+
        9+kMVBcRTQKBgDC+JLd2abIs4ejCEfDaSMbhpztxlYW/7Qsf9KUab/my0pt1pfmN
        TaPLJSMbf0SEyk+EH/cw822qDBG7von49KQ48bvxnHwn1S04k3K8Clpr6d5nwE9k
        /+zxnxgRu9KyjiTeykFeEEBx2j8Azsx8+AnAESSisVfkv5OOwgjPYC+ZAoGBAJM9
        y5H01HXa53FcJ/jpXZYHfyxEOTGieHdqQMu6eVpQYXebQCbwf7SR4XcuwC5UXLuZ
        fsZda4eOq1KF7dSOwyfb4WuQh9SsruBAcJ0Uc/pwY68Mwfc0/9EvG5qvYn6geGui
        VKJxvv719KZPM3d2OblPE2d1UWuwfO5qtKeVEgqdAoGAQGNnepdchKIZwoYvxhfW
        CInazoHrjhJx1hr/jYvGCzk4ay1akOpzSUYtpKVISvAJ9tV02FP4wyHOkh85LZJv
        xne2YXXAtYWHl2c2DhxYlbGB0F3V6r6GT11l4wfbU66FDdArggQP+WosRkW5tG/I
        DR3QWNfJbamaCG7KqVwtvbk=
        -----END PRIVATE KEY-----
        """
    static let otherCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBuDCCAV+gAwIBAgIUVV+znxrXM0uQZjM/tqXEp2fTv6IwCgYIKoZIzj0EAwIw
        GDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTAgFw0yNjExMjkxNjU2MDVaGA8yMTI2
        MTEwNTE2NTYwNVowGDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTBZMBMGByqGSM49
        AgEGCCqGSM49AwEHA0IABGjzeMszXBerpyyrKLFhnetQyLBaRl0kGQiS43G5V5wf
        JYOhiH75YY91956iT+ejR2zhTjXrDaGTp9Qv3ukFe7SjgYQwgYEwHQYDVR0OBBYE
        FGtIZXaPCDQEpq+DMR51cOvQMknmMB8GA1UdIwQYMBaAFGtIZXaPCDQEpq+DMR51
        cOvQMknmMA8GA1UdEwEB/wQFMAMBAf8wLgYDVR0RBCcwJYINb3RoZXIuZXhhbXBs
        ZYIUKi5vdGhlci5leGFtcGxlLnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgXCkzpgBH
        s4V8WQqcBo+pAf/qveCxNTvBMSk2YZ+Yn34CIDfUKAc4YTeNADa8pSI+xlo2Qvwf
        A43gEhMJdQs0vF2v
        -----END CERTIFICATE-----
        """
    static let otherKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWpf7m2ppCR+QBkWt
        YK40hbEbIiMIA8b9VdNGHklSUR6hRANCAARo83jLM1wXq6csqyixYZ3rUMiwWkZd
        JBkIkuNxuVecHyWDoYh++WGPdfeeok/no0ds4U416w2hk6fUL97pBXu0
        -----END PRIVATE KEY-----
        """
}
