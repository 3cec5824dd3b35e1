"""DKIM signatures (RFC 6376; Ed25519 by RFC 8463), made for speed: relaxed headers, simple body.

Every header handed in is signed. `From`, `To`, `Subject` and both headers of one-click unsubscribing are oversigned, so
the signature breaks where somebody adds a second one. With several keys a message carries a signature of each, since
not every receiver reads Ed25519.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from onevoice.kernel.errors import ConfigurationError

OVERSIGNED = ("from", "to", "subject", "list-unsubscribe", "list-unsubscribe-post")

SHORTEST_RSA = 1024  # bits; receivers ignore shorter keys (RFC 8301, 3.2)

_PADDING, _SHA256 = PKCS1v15(), hashes.SHA256()
_BLANK = re.compile(rb"[ \t\r\n]+")


class Signer:
    """Signs for one domain. `keys`: the file of the private key (PEM) per selector. Raises ConfigurationError."""

    def __init__(self, domain: str, keys: Mapping[str, str]) -> None:
        self._domain = domain.encode("idna")
        self._keys = [(selector.encode(), _read(path)) for selector, path in keys.items()]

    def signatures(self, headers: Sequence[tuple[str, str]], body: bytes, seconds: int) -> bytes:
        """The DKIM-Signature headers, to go before the others. `body` as it travels, dots not doubled.

        `headers` may be folded; `body` ends with one CRLF.
        """
        lines = [(name.lower().encode(), _BLANK.sub(b" ", value.encode()).strip()) for name, value in headers]
        canonical = b"".join(b"%b:%b\r\n" % line for line in lines)
        names = [name for name, _ in lines]
        names += [name.encode() for name in OVERSIGNED]  # once more than they are there
        listed = b":".join(names)
        body_hash = b64encode(sha256(body).digest())
        made = []
        for selector, key in self._keys:
            algorithm = b"rsa-sha256" if isinstance(key, RSAPrivateKey) else b"ed25519-sha256"
            fields = b"v=1; a=%b; c=relaxed/simple; d=%b; s=%b; t=%d; h=%b; bh=%b; b=" % (
                algorithm,
                self._domain,
                selector,
                seconds,
                listed,
                body_hash,
            )
            signed = canonical + b"dkim-signature:" + fields
            if isinstance(key, RSAPrivateKey):
                code = key.sign(signed, _PADDING, _SHA256)
            else:
                code = key.sign(sha256(signed).digest())  # RFC 8463, 3: the hash is what is signed
            made.append(b"DKIM-Signature: " + _folded(fields) + b64encode(code) + b"\r\n")
        return b"".join(made)


def _folded(fields: bytes) -> bytes:
    """The same value over several lines; canonicalised they are one again."""
    return fields.replace(b"; h=", b";\r\n h=").replace(b"; bh=", b";\r\n bh=").replace(b"; b=", b";\r\n b=")


def _read(path: str) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"channels.email: dkim key {path}: {error}; make one by `onevoice mail keys`"
        ) from error
    if isinstance(key, RSAPrivateKey):
        if key.key_size < SHORTEST_RSA:
            raise ConfigurationError(f"channels.email: dkim key {path} has {key.key_size} bits; use 2048")
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ConfigurationError(f"channels.email: dkim key {path} is neither RSA nor Ed25519")


def record(private_key: bytes) -> str:
    """The TXT record that belongs to a private key (PEM), for SELECTOR._domainkey.DOMAIN."""
    public = serialization.load_pem_private_key(private_key, None).public_key()
    if hasattr(public, "public_bytes_raw"):
        return f"v=DKIM1; k=ed25519; p={b64encode(public.public_bytes_raw()).decode()}"
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return f"v=DKIM1; k=rsa; p={b64encode(public.public_bytes(encoding, form)).decode()}"
