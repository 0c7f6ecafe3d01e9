"""Sections 5 and 6: generations, epochs, trees, mailboxes, positions."""
from . import ed25519
from .base import h, rnd, u8, u16, u32


def leaf(x):
    return h(b"hermes/1 leaf", x)


def node(l, r):
    return h(b"hermes/1 node", l, r)


def tree(leaves):
    """Levels of a Merkle tree, leaves first."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([node(row[i], row[i + 1]) for i in range(0, len(row), 2)])
    return levels


def path(levels, index):
    out = []
    for row in levels[:-1]:
        out.append(row[index ^ 1])
        index >>= 1
    return out


def climb(x, index, siblings):
    for i, s in enumerate(siblings):
        x = node(s, x) if index >> i & 1 else node(x, s)
    return x


class Generation:
    def __init__(self, net, name, gen, epoch):
        self.net, self.gen, self.start = net, gen, epoch
        self.s = rnd(name + " s_g")
        self.d = net.kdf(self.s, "gen-root")
        self.v = [net.kdf(self.s, "gen-slot", u8(i)) for i in range(64)]
        self.D = ed25519.public(self.d)
        self.V = [ed25519.public(v) for v in self.v]
        self.chains = {epoch: rnd(name + " chain")}

    def chain(self, e):
        if e not in self.chains:
            self.chains[e] = self.net.kdf(self.chain(e - 1), "chain")
        return self.chains[e]

    def mailbox_key(self, e):
        bk = self.net.kdf(self.chain(e), "addr-mbx")
        return ed25519.blind_public(self.D, bk, self.net.ctx), ed25519.blind_secret(self.d, bk, self.net.ctx)

    def presence_key(self, e, q):
        bk = self.net.kdf(self.chain(e), "addr-sky", u8(q))
        return ed25519.blind_public(self.D, bk, self.net.ctx), ed25519.blind_secret(self.d, bk, self.net.ctx)

    def write_key(self, e, i, j):
        bk = self.net.kdf(self.chain(e), "slot", u8(i), u8(j))
        return ed25519.blind_public(self.V[i], bk, self.net.ctx), ed25519.blind_secret(self.v[i], bk, self.net.ctx)

    def knock_key(self, e, q, i):
        bk = self.net.kdf(self.chain(e), "knock-slot", u8(q), u8(i))
        return ed25519.blind_public(self.V[i], bk, self.net.ctx), ed25519.blind_secret(self.v[i], bk, self.net.ctx)

    def slot_tree(self, e):
        return tree([leaf(self.write_key(e, i, j)[0]) for i in range(64) for j in range(4)])

    def knock_tree(self, e, q):
        return tree([leaf(self.knock_key(e, q, i)[0]) for i in range(64)])

    def bundle(self, e, slot):
        return u16(self.gen) + u32(e) + self.D + self.chain(e) + u8(slot) + self.v[slot] + b"".join(self.V)


def descriptor(policy, depth, a, root):
    return u8(policy) + u8(depth) + a + root


def mailbox(net, desc):
    return h(b"hermes/1 mbx", net.id, desc)


def pos(label, ident, k):
    label = label.encode()
    return h(b"hermes/1 ring", u8(len(label)), label, bytes(32), ident, u8(k))
