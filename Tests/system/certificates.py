"""Certificates for the tests, signed by themselves or by an authority of the test."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Certificate:
    """A certificate and its key in files of a directory; signed by itself if no authority is named.

    Its common name is the first of `hosts`, unless `common_name` gives another; `others` are names of other kinds. One that
    `signs` is an authority, though another has signed it.
    """

    def __init__(
        self, directory, name, hosts=("localhost",), *, kind="ec", days=365, since=-1, authority=None,
        common_name=None, others=(), signs=False,
    ):  # fmt: skip
        self.signs = signs or authority is None
        self.common_name = common_name
        self.others = others
        self.certificate = Path(directory) / f"{name}.pem"
        self.key = Path(directory) / f"{name}.key"
        self.authority = authority
        self.write(hosts, kind=kind, days=days, since=since)

    def write(self, hosts=("localhost",), *, kind="ec", days=365, since=-1):
        """Makes another certificate and key in the same files."""
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        issuer = self.authority or self
        self._own_key = key
        name = hosts[0] if self.common_name is None else self.common_name
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        names = [x509.DNSName(host) for host in hosts] + list(self.others)
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=since))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        for extension, critical in self._extensions(key, issuer):
            builder = builder.add_extension(extension, critical=critical)
        made = builder.sign(issuer._own_key, hashes.SHA256())
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.serial = made.serial_number

    def _extensions(self, key, issuer):
        extensions = [
            (x509.BasicConstraints(ca=self.signs, path_length=None), True),
            (key_usage(self.signs), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        ]
        if not self.signs:
            uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            extensions.append((x509.ExtendedKeyUsage(uses), False))
        if self.authority is not None:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer._own_key.public_key())
            extensions.append((identifier, False))
        return extensions

    @property
    def setting(self):
        """What stands for it in `tls.certificates`."""
        return {"certificate": str(self.certificate), "key": str(self.key)}


def key_usage(is_authority):
    """What a key is for: to sign, and certificates too if it is an authority's."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=is_authority, crl_sign=is_authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def client_context(version=None, *, trust=None, ciphers=None, own=None):
    """What a client of the standard library goes by; without `trust` it takes any certificate, and `own` is its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trust.certificate)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context
