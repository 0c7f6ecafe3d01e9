"""Edwards25519 in affine-free integer arithmetic (RFC 8032), with the blinding of section 4."""
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = (-121665 * pow(121666, P - 2, P)) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _recover_x(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        if sign:
            raise ValueError("bad point")
        return 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P:
        raise ValueError("not on the curve")
    return P - x if x & 1 != sign else x


def _point(x, y):
    return (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = _point(_recover_x(BASE_Y, 0), BASE_Y)
IDENTITY = (0, 1, 1, 0)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def mul(k, p):
    r = IDENTITY
    while k:
        if k & 1:
            r = add(r, p)
        p = add(p, p)
        k >>= 1
    return r


def compress(p):
    z = pow(p[2], P - 2, P)
    x, y = p[0] * z % P, p[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(b):
    n = int.from_bytes(b, "little")
    sign, y = n >> 255, n & (2**255 - 1)
    if y >= P:
        raise ValueError("not canonical")
    return _point(_recover_x(y, sign), y)


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).digest()


def expand(seed):
    """(scalar, prefix) of a seed."""
    h = sha512(seed)
    a = int.from_bytes(h[:32], "little")
    a = (a & ~7 & (2**255 - 1)) | 2**254
    return a % L, h[32:]


def public(seed):
    return compress(mul(expand(seed)[0], BASE))


def sign_expanded(scalar, prefix, message):
    pub = compress(mul(scalar, BASE))
    r = int.from_bytes(sha512(prefix, message), "little") % L
    big_r = compress(mul(r, BASE))
    k = int.from_bytes(sha512(big_r, pub, message), "little") % L
    return big_r + ((r + k * scalar) % L).to_bytes(32, "little")


def sign(seed, message):
    return sign_expanded(*expand(seed), message)


def verify(pub, message, sig):
    s = int.from_bytes(sig[32:], "little")
    if s >= L:
        return False
    k = int.from_bytes(sha512(sig[:32], pub, message), "little") % L
    return compress(mul(s, BASE)) == compress(
        add(decompress(sig[:32]), mul(k, decompress(pub)))
    )


def blind_factor(bk, ctx):
    b = sha512(bk, b"\0", ctx)
    s = int.from_bytes(b[:32], "little") % L
    assert s
    return s, b[32:]


def blind_public(pub, bk, ctx):
    return compress(mul(blind_factor(bk, ctx)[0], decompress(pub)))


def blind_secret(seed, bk, ctx):
    """(scalar', prefix') of section 4."""
    s, prefix2 = blind_factor(bk, ctx)
    a, prefix1 = expand(seed)
    return a * s % L, sha512(b"hermes/1 blind-prefix", prefix1, prefix2)[:32]
