"""A private certificate authority, the certificates that it signs, and what is wrong with a certificate. Pure: text in, text out."""

import datetime
import ipaddress
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from runbook.errors import RunbookError

#: Browsers refuse a longer life of a server's certificate: https://support.apple.com/en-us/102028 (825 days for private ones, 398 for
#: public ones); the shorter one serves everywhere.
LEAF_DAYS = 397
AUTHORITY_DAYS = 3650
#: Clocks differ a little: a new certificate holds for a client that is behind.
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM. The key is never shown: it is not part of the representation."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return f"Pair({describe(self.certificate).subject})"


@dataclass(frozen=True)
class Described:
    """What a certificate says.

    ``names`` are its DNS names and addresses, ``not_before`` and ``not_after`` UTC times, ``fingerprint`` SHA-256 in hexadecimal pairs.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    authority: bool
    fingerprint: str

    def days_left(self, now: datetime.datetime | None = None) -> float:
        """Days until it ends; negative when it is over."""
        return (self.not_after - (now or _now())).total_seconds() / 86400


def new_authority(domain: str, days: int = AUTHORITY_DAYS, now: datetime.datetime | None = None) -> Pair:
    """An authority that can sign for names below ``domain`` and for no others: whoever trusts it trusts it for these only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"runbook {domain}"[:64]),
                      x509.NameAttribute(NameOID.ORGANIZATION_NAME, "runbook private authority")])
    start = (now or _now()) - BACKDATED
    # A constraint on DNS names alone says nothing about addresses: they are excluded whole.
    constraints = x509.NameConstraints([x509.DNSName(domain)], [x509.IPAddress(ipaddress.ip_network(n)) for n in ("0.0.0.0/0", "::/0")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    return Pair(_pem(certificate), _key_pem(key))


def issue(authority: Pair, names: list[str], days: int = LEAF_DAYS, now: datetime.datetime | None = None) -> Pair:
    """A server's certificate for these names, signed by the authority; ``certificate`` is the chain, the server's first.

    Raises:
        RunbookError: the authority is not one, or its key is not its own.
    """
    signer = _load(authority.certificate)[0]
    signing_key = serialization.load_pem_private_key(authority.key.encode(), None)
    if not describe(authority.certificate).authority or signing_key.public_key() != signer.public_key():
        raise RunbookError("this authority cannot sign: it is none, or the key is another's", do="make a new one, or give the right key")
    key = ec.generate_private_key(ec.SECP256R1())
    start = (now or _now()) - BACKDATED
    certificate = (
        x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(signer.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(min(start + timedelta(days=days), signer.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signing_key, hashes.SHA256()))
    return Pair(_pem(certificate) + _pem(signer), _key_pem(key))


def describe(pem: str | bytes) -> Described:
    """What the first certificate of a PEM text (or a DER one) says. Raises RunbookError if it is none."""
    certificate = x509.load_der_x509_certificate(pem) if isinstance(pem, bytes) else _load(pem)[0]
    digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
    return Described(
        _name(certificate.subject), _name(certificate.issuer), _names(certificate), certificate.not_valid_before_utc,
        certificate.not_valid_after_utc, _is_authority(certificate), ":".join(digest[i:i + 2] for i in range(0, len(digest), 2)))


def permits(authority: str, name: str) -> bool:
    """Whether an authority (PEM) may sign for a name: it is one, and no constraint excludes the name."""
    certificate = _load(authority)[0]
    if not _is_authority(certificate):
        return False
    try:
        permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return True
    below = [n.value for n in permitted if isinstance(n, x509.DNSName)]
    return not below or any(name == b or name.endswith(f".{b}") for b in below)


def covers(names: tuple[str, ...] | list[str], host: str) -> bool:
    """Whether a certificate of these names is one for ``host``; ``*`` stands for one whole label, the first."""
    host = host.lower().rstrip(".")
    return any(n == host or (n.startswith("*.") and host.partition(".")[2] == n[2:] and host.partition(".")[0]) for n in map(str.lower, names))


def problems(chain: str | bytes, hosts: list[str], authority: str = "", key: str = "", now: datetime.datetime | None = None) -> list[str]:
    """What is wrong with a server's certificate: a sentence each; empty when nothing is.

    Args:
        chain: PEM, the server's certificate first; or the server's alone, DER.
        hosts: the names that it must serve.
        authority: PEM of the authority that clients trust; empty: not looked at, as for one of the public authorities.
        key: PEM of its private key; empty: not looked at.
    """
    now = now or _now()
    try:
        said = describe(chain)
    except RunbookError as error:
        return [error.what]
    found = []
    if now > said.not_after:
        found.append(f"it expired on {said.not_after:%Y-%m-%d %H:%M} UTC")
    if now < said.not_before:
        found.append(f"it is valid from {said.not_before:%Y-%m-%d %H:%M} UTC on only: is the clock of this machine right?")
    missing = [h for h in hosts if not covers(said.names, h)]
    if missing:
        found.append(f"it is for {', '.join(said.names) or said.subject}, not for {', '.join(missing)}")
    if key and not _belongs(chain, key):
        found.append("its private key is another's")
    if authority and not found and not _signed(chain, authority, hosts, now):
        found.append(f"it was signed by {said.issuer}, not by our authority ({describe(authority).fingerprint[:23]}…)")
    return found


def _signed(chain: str | bytes, authority: str, hosts: list[str], now: datetime.datetime) -> bool:
    certificates = [x509.load_der_x509_certificate(chain)] if isinstance(chain, bytes) else _load(chain)
    for host in hosts:
        name = host.replace("*", "any", 1)
        verifier = PolicyBuilder().store(Store(_load(authority))).time(now).build_server_verifier(x509.DNSName(name))
        try:
            verifier.verify(certificates[0], certificates[1:])
        except VerificationError:
            return False
    return True


def _belongs(chain: str | bytes, key: str) -> bool:
    certificate = x509.load_der_x509_certificate(chain) if isinstance(chain, bytes) else _load(chain)[0]
    try:
        return serialization.load_pem_private_key(key.encode(), None).public_key() == certificate.public_key()
    except (ValueError, TypeError):
        return False


def _usage(**said: bool) -> x509.KeyUsage:
    bits = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
            "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: said.get(bit, False) for bit in bits})


def _load(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise RunbookError("this is no certificate in PEM form", do="give a file that begins with -----BEGIN CERTIFICATE-----") from None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress)))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
