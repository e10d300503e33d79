"""Seals a record with PyPI `cryptography`, from the format written down in the package `hpc-keystore` alone."""
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

key = bytes(range(32))
salt = bytes(255 - n for n in range(32))
label, fixed = b"hpc-keystore/v1/", bytes([1, 1, 0, 0, 0, 0])  # format, algorithm, key version


def expand(name, length):
    return HKDF(SHA256(), length, salt=salt, info=label + name + fixed).derive(key)


context = b"elsewhere"
aad = label + b"aad" + fixed + b"\2" + len(context).to_bytes(8, "big") + context + bytes(8)
sealed = AESGCM(expand(b"key", 32)).encrypt(expand(b"nonce", 12), b"sealed by another program", aad)
print((b"HPCS" + fixed + salt + expand(b"commitment", 32) + sealed).hex())
