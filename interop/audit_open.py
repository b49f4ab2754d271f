#!/usr/bin/env python3
"""Opens payloads of Portolan's ledger, by RFC 9180 and docs/reference/audit-record.md alone.

    interop/audit_open.py payload.key < payloads-00000001.jsonl

Prints the text of each, a line each. X25519 and AES-256-GCM are the `cryptography` package's, all else is here.
"""

import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEM = b"KEM" + (0x0020).to_bytes(2, "big")
SUITE = b"HPKE" + b"".join(part.to_bytes(2, "big") for part in (0x0020, 0x0001, 0x0002))


def extract(suite, salt, label, key):
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + key, hashlib.sha256).digest()


def expand(suite, key, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([number]), hashlib.sha256).digest()
        out, number = out + block, number + 1
    return out[:length]


def opened(private, enc, info, aad, ciphertext):
    """RFC 9180 §5.1.1 (base mode), §4.1 (DHKEM) and §5.2, for the first message of a context."""
    shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
    context = enc + private.public_key().public_bytes_raw()
    secret = expand(KEM, extract(KEM, b"", b"eae_prk", shared), b"shared_secret", context, 32)
    hashes = extract(SUITE, b"", b"psk_id_hash", b"") + extract(SUITE, b"", b"info_hash", info)
    scheduled = bytes([0]) + hashes
    secret = extract(SUITE, secret, b"secret", b"")
    key = expand(SUITE, secret, b"key", scheduled, 32)
    nonce = expand(SUITE, secret, b"base_nonce", scheduled, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def main():
    scheme, digits = open(sys.argv[1], encoding="ascii").read().strip().split(":")
    if scheme != "hpke-x25519-private":
        sys.exit(f"{sys.argv[1]} holds no key for payloads")
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(digits))
    for line in sys.stdin:
        if not line.endswith("\n"):
            continue  # a process was killed while it wrote this
        payload = json.loads(line)
        if "erased" in payload:
            continue
        aad = "\n".join(["portolan payload 1", payload["replica"], payload["id"], payload["part"]])
        enc, ciphertext = base64.b64decode(payload["enc"]), base64.b64decode(payload["ciphertext"])
        print(opened(private, enc, b"portolan payload 1", aad.encode(), ciphertext).decode())


if __name__ == "__main__":
    main()
