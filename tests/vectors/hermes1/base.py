"""Section 1 and 2: encodings, KDF, signatures, networks, time."""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from . import ed25519


def h(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u8(n):
    return struct.pack("<B", n)


def u16(n):
    return struct.pack("<H", n)


def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


def var8(b):
    return u8(len(b)) + b


def var16(b):
    return u16(len(b)) + b


def rnd(label, n=32):
    """Reproducible stand-in for randomness: the inputs of the vectors."""
    out, i = b"", 0
    while len(out) < n:
        out += h(b"hermes/1 vectors ", label.encode(), u32(i))
        i += 1
    return out[:n]


def hmac256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf_expand(prk, info, n):
    out, t, i = b"", b"", 1
    while len(out) < n:
        t = hmac256(prk, t + info + bytes([i]))
        out += t
        i += 1
    return out[:n]


def extract(salt, ikm):
    return hmac256(salt, ikm)


def seal(key, aad, pt):
    return ChaCha20Poly1305(key).encrypt(bytes(12), pt, aad)


NAMES = [
    ("epoch_s", u32), ("presence_parts", u8), ("expiry_unit_s", u32), ("expiry_default_s", u32), ("expiry_max_s", u32),
    ("grace_s", u32), ("slot_bytes", u32), ("slot_deposits", u16), ("slot_reserved_bytes", u32), ("mailbox_shared_bytes", u32),
    ("mailbox_tombstones", u16), ("mailboxes_per_prefix_hour", u16), ("copies", u8), ("acks", u8), ("direct_min", u8),
    ("diversity", u8), ("register_jitter_s", u32), ("deposit_jitter_ms", u32), ("ack_delay_ms", u32), ("lease_s", u32),
    ("knock_grace_ms", u32), ("redeposit_s", u32), ("gap_wait_s", u32), ("invite_max_s", u32), ("rekey_s", u32),
    ("rekey_min_s", u32), ("rekey_messages", u16),
]
MAIN = dict(
    epoch_s=86400, presence_parts=4, expiry_unit_s=3600, expiry_default_s=1209600, expiry_max_s=2592000, grace_s=172800,
    slot_bytes=1048576, slot_deposits=1024, slot_reserved_bytes=131072, mailbox_shared_bytes=8388608, mailbox_tombstones=65535,
    mailboxes_per_prefix_hour=64, copies=5, acks=3, direct_min=2, diversity=1, register_jitter_s=1800, deposit_jitter_ms=30000,
    ack_delay_ms=1200000, lease_s=600, knock_grace_ms=1500, redeposit_s=86400, gap_wait_s=600, invite_max_s=172800,
    rekey_s=604800, rekey_min_s=86400, rekey_messages=100,
)
LAB = dict(MAIN, mailboxes_per_prefix_hour=65535, diversity=0, register_jitter_s=0, deposit_jitter_ms=0, ack_delay_ms=0, knock_grace_ms=300)
T0 = 1767225600


class Net:
    def __init__(self, name, params):
        self.name, self.params = name, params
        self.encoding = b"hermes/1 net" + u8(1) + var8(name.encode()) + b"".join(f(params[k]) for k, f in NAMES)
        self.id = h(self.encoding)[:4]
        self.ctx = b"hermes/1" + self.id

    def __getattr__(self, name):
        return self.params[name]

    def kdf(self, key, label, *parts, length=32):
        label = label.encode()
        info = b"hermes/1" + u8(len(label)) + label + self.id + b"".join(u16(len(p)) + p for p in parts)
        return hkdf_expand(key, info, length)

    def signed(self, label, body):
        label = label.encode()
        return b"Hermes-sig-v1\0" + u8(len(label)) + label + self.id + body

    def sign(self, seed, label, body):
        return ed25519.sign(seed, self.signed(label, body))

    def sign_blinded(self, secret, label, body):
        return ed25519.sign_expanded(*secret, self.signed(label, body))

    def epoch(self, t):
        return (t - T0) // self.epoch_s

    def part(self, t):
        return (t - T0) % self.epoch_s * self.presence_parts // self.epoch_s

    def expiry(self, t):
        return -((T0 - t) // self.expiry_unit_s)


main = Net("main", MAIN)
lab = Net("lab", LAB)
short = Net("short-epochs", dict(LAB, epoch_s=10, presence_parts=2, expiry_unit_s=1, expiry_default_s=600, expiry_max_s=1200, grace_s=60))
