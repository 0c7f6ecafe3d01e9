"""Sections 7, 8, 10 to 13, 15: things that travel."""
import base64
import ipaddress

from . import ed25519
from .address import climb, descriptor, leaf, mailbox, node, tree, path
from .base import h, hmac256, seal, u8, u16, u32, u64, var8, var16

BUCKETS = [1024, 4096, 16384, 65536]


def body(net, outer_key, header76, content, bucket, random):
    """Returns (nonce, body) for a header whose first 76 bytes are given."""
    nonce = hmac256(outer_key, random + content)[:16]
    header = header76 + nonce
    ko = net.kdf(outer_key, "outer-msg", nonce, h(header), length=48)
    n = BUCKETS[bucket]
    pt = u16(len(content)) + content
    pt += bytes(n - 32 - len(pt))
    return nonce, ko[32:] + seal(ko[:32], header, pt)


def deposit(net, policy, expiry, a, write_pub, write_secret, index, siblings, bucket, outer_key, content, random):
    head = u8(1) + u8(1) + u8(policy) + u8(len(siblings)) + u32(expiry) + a + write_pub + u16(index) + u16(bucket)
    nonce, sealed = body(net, outer_key, head, content, bucket, random)
    head += nonce
    root = climb(leaf(write_pub), index, siblings)
    signed = head + root + h(sealed)
    sig = net.sign_blinded(write_secret, "deposit", signed)
    mb = mailbox(net, descriptor(policy, len(siblings), a, root))
    return dict(record=head + b"".join(siblings) + sealed + sig, mailbox=mb, id=h(b"hermes/1 dep", mb, signed), nonce=nonce)


def receipts(net, node_seed, time, entries):
    """entries: (deposit id, mailbox, expiry)."""
    leaves = [h(b"hermes/1 receipt", i, mb, u32(x)) for i, mb, x in entries]
    while len(leaves) & (len(leaves) - 1):
        leaves.append(bytes(32))
    levels = tree(leaves)
    sig = net.sign(node_seed, "receipt", u64(time) + levels[-1][0])
    key = ed25519.public(node_seed)
    out = []
    for n, (i, mb, x) in enumerate(entries):
        p = path(levels, n)
        out.append(key + i + mb + u32(x) + u64(time) + u32(n) + u8(len(p)) + b"".join(p) + sig)
    return out


def addr(ip, port):
    ip = ipaddress.ip_address(ip)
    return u8(ip.version) + ip.packed + u16(port)


def record(net, seed, role, flags, hpke, seq, expires, slot, addrs):
    b = u8(1) + u8(role) + u16(flags) + ed25519.public(seed) + u8(1) + hpke + u64(seq) + u64(expires) + u16(slot)
    b += u8(len(addrs)) + b"".join(addr(*a) for a in addrs) + var16(b"")
    return b + net.sign(seed, "node-record", b)


def base32(b):
    return base64.b32encode(b).decode().rstrip("=")


def uri(role, key, ip, port):
    host = f"[{ip}]" if ":" in ip else ip
    return f"hermes-{role}://{base32(key).lower()}@{host}:{port}"


def place(diversity, ip, port, slot):
    a = ipaddress.ip_address(ip)
    if diversity:
        return u8(a.version) + a.packed[: 3 if a.version == 4 else 6] + u16(slot)
    return u8(a.version) + a.packed + u16(port)


def pad(b, n):
    assert len(b) <= n
    return b + bytes(n - len(b))


def knock_plain(time, tls_key, addrs):
    return pad(u8(1) + u8(0) + u64(time) + tls_key + u8(len(addrs)) + b"".join(addr(*a) for a in addrs), 496)


def answer_plain(time, tls_key, tag, addrs):
    return pad(u8(1) + u8(0) + u64(time) + tls_key + tag + u8(len(addrs)) + b"".join(addr(*a) for a in addrs), 496)


def knock_seal(net, outer_key, role, nonce, presence, plain):
    return seal(net.kdf(outer_key, "knock", u8(role) + nonce), presence + nonce, plain)


def knock(net, flags, presence, knock_pub, knock_secret, slot, siblings, nonce, sealed):
    sig = net.sign_blinded(knock_secret, "knock", u8(flags) + presence + u8(slot) + nonce + h(sealed))
    return u8(flags) + presence + knock_pub + u8(slot) + b"".join(siblings) + nonce + sealed + sig


def invite(net, flags, start, expiry, d_pub, s_pub, k_inv, ik, nodes):
    b = b"HRM" + u8(1) + u8(1) + u8(flags) + net.id + u32(start) + u32(expiry) + d_pub + s_pub + k_inv
    b += h(b"hermes/1 fp", ik)[:16] + u8(len(nodes)) + b"".join(addr(ip, port) + h(key)[:8] for ip, port, key in nodes)
    return b + h(b)[:4]


def packet(device, floor, acks, frames):
    b = u8(1) + u8(0) + u16(device) + u64(floor) + u8(len(acks)) + b"".join(u64(a) + u64(z) for a, z in acks) + u16(len(frames))
    for kind, flags, seq, mid, sent, body_ in frames:
        b += u8(kind) + u8(flags) + u64(seq) + mid + u64(sent) + var16(body_)
    return b
