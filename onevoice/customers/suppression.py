"""The suppression list: addresses never to be contacted on a channel again, kept as salted hashes so that it survives erasure."""

from hashlib import blake2b


def address_hash(secret: bytes, channel: str, address: str) -> bytes:
    """16 bytes that stand for an address on a channel, salted with the installation's secret; case does not count."""
    return blake2b(f"{channel}\x1f{address.lower()}".encode(), digest_size=16, key=secret).digest()
