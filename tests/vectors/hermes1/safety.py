"""The safety number of section 14."""
from .ed25519 import sha512


def safety_number(one, other):
    lower, upper = sorted((one, other))
    x = sha512(b"hermes/1 safety", lower, upper)
    for _ in range(5199):
        x = sha512(x, lower, upper)
    return "".join(f"{int.from_bytes(x[5 * n:5 * n + 5], 'big') % 100000:05}" for n in range(12))
