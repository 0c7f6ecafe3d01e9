"""Noise rev. 34 for IKpsk0 and KKpsk0 with 25519, ChaChaPoly, SHA256, and X-Wing."""
import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from kyber_py.ml_kem import ML_KEM_768

from .base import h, hmac256


def x_public(sk):
    return X25519PrivateKey.from_private_bytes(sk).public_key().public_bytes_raw()


def dh(sk, pk):
    return X25519PrivateKey.from_private_bytes(sk).exchange(X25519PublicKey.from_public_bytes(pk))


def hkdf(ck, ikm, n):
    prk, out, t = hmac256(ck, ikm), [], b""
    for i in range(1, n + 1):
        t = hmac256(prk, t + bytes([i]))
        out.append(t)
    return out


PATTERNS = {
    "IKpsk0": ([], ["s"], [["psk", "e", "es", "s", "ss"], ["e", "ee", "se"]]),
    "KKpsk0": (["s"], ["s"], [["psk", "e", "es", "ss"], ["e", "ee", "se"]]),
}


class Handshake:
    """One side of a handshake; `token_dh` picks the keys by role."""

    def __init__(self, pattern, prologue, psk, initiator, s, e, rs=None):
        name = f"Noise_{pattern}_25519_ChaChaPoly_SHA256".encode()
        self.h = name + bytes(32 - len(name)) if len(name) <= 32 else h(name)
        self.ck, self.k, self.n = self.h, None, 0
        self.initiator, self.s, self.e, self.psk = initiator, s, e, psk
        self.rs, self.re = rs, None
        pre_i, pre_r, self.messages = PATTERNS[pattern]
        self.messages = list(self.messages)
        self.mix_hash(prologue)
        for _ in pre_i:
            self.mix_hash(x_public(s) if initiator else rs)
        for _ in pre_r:
            self.mix_hash(rs if initiator else x_public(s))

    def mix_hash(self, data):
        self.h = h(self.h, data)

    def mix_key(self, ikm):
        self.ck, self.k = hkdf(self.ck, ikm, 2)
        self.n = 0

    def mix_key_and_hash(self, ikm):
        self.ck, temp, self.k = hkdf(self.ck, ikm, 3)
        self.mix_hash(temp)
        self.n = 0

    def nonce(self):
        n = bytes(4) + self.n.to_bytes(8, "little")
        self.n += 1
        return n

    def encrypt(self, pt):
        ct = pt if self.k is None else ChaCha20Poly1305(self.k).encrypt(self.nonce(), pt, self.h)
        self.mix_hash(ct)
        return ct

    def decrypt(self, ct):
        pt = ct if self.k is None else ChaCha20Poly1305(self.k).decrypt(self.nonce(), ct, self.h)
        self.mix_hash(ct)
        return pt

    def token_dh(self, token):
        mine, theirs = (token[0], token[1]) if self.initiator else (token[1], token[0])
        return dh(self.s if mine == "s" else self.e, self.rs if theirs == "s" else self.re)

    def write(self, payload):
        out = b""
        for t in self.messages.pop(0):
            if t == "psk":
                self.mix_key_and_hash(self.psk)
            elif t == "e":
                pub = x_public(self.e)
                out += pub
                self.mix_hash(pub)
                self.mix_key(pub)
            elif t == "s":
                out += self.encrypt(x_public(self.s))
            else:
                self.mix_key(self.token_dh(t))
        return out + self.encrypt(payload)

    def read(self, message):
        for t in self.messages.pop(0):
            if t == "psk":
                self.mix_key_and_hash(self.psk)
            elif t == "e":
                self.re, message = message[:32], message[32:]
                self.mix_hash(self.re)
                self.mix_key(self.re)
            elif t == "s":
                n = 48 if self.k else 32
                self.rs, message = self.decrypt(message[:n]), message[n:]
            else:
                self.mix_key(self.token_dh(t))
        return self.decrypt(message)

    def split(self):
        return hkdf(self.ck, b"", 2)


def xwing_keys(sk):
    x = hashlib.shake_256(sk).digest(96)
    ek, dk = ML_KEM_768._keygen_internal(x[:32], x[32:64])
    return ek + x_public(x[64:]), (dk, x[64:], x_public(x[64:]))


def _combine(ss_m, ss_x, ct_x, pk_x):
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + b"\\.//^\\").digest()


def xwing_encaps(ek, random):
    ss_m, ct_m = ML_KEM_768._encaps_internal(ek[:1184], random[:32])
    ct_x = x_public(random[32:])
    return ct_m + ct_x, _combine(ss_m, dh(random[32:], ek[1184:]), ct_x, ek[1184:])


def xwing_decaps(sk, ct):
    _, (dk, sk_x, pk_x) = xwing_keys(sk)
    return _combine(ML_KEM_768.decaps(dk, ct[:1088]), dh(sk_x, ct[1088:]), ct[1088:], pk_x)
