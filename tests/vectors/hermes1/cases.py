"""The cases, a function a file."""
from . import ed25519
from .address import Generation, descriptor, leaf, mailbox, path, pos
from .base import extract, h, lab, main, rnd, seal, short, u8, u16, u32, u64, var8, var16
from . import formats as f
from .noise import Handshake, x_public, xwing_decaps, xwing_encaps, xwing_keys
from .safety import safety_number

T = 1795219200  # 2026-11-21T00:00:00Z
E0 = lab.epoch(T)
FILES = {}


def hexed(x):
    if isinstance(x, bytes):
        return x.hex()
    if isinstance(x, dict):
        return {k: hexed(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [hexed(v) for v in x]
    return x


def vectors(name, about, network="lab"):
    def wrap(fn):
        FILES[name] = (about, network, fn)
        return fn

    return wrap


def all_files():
    return {name: (about, net, hexed(fn())) for name, (about, net, fn) in FILES.items()}


@vectors("network", "parameters and time (sections 2, 3)", "several")
def network():
    out = []
    for net in (main, lab, short):
        times = [T - 1, T, T + 1, T + 3601, T + 6 * 3600, T + 86399, 1767225600, 1767225601]
        out.append(dict(
            name=net.name, parameters=net.params, encoding=net.encoding, net_id=net.id,
            times=[dict(t=t, epoch=net.epoch(t), part=net.part(t), expiry=net.expiry(t)) for t in times],
        ))
    return out


@vectors("kdf", "KDF and EXTRACT (section 1)")
def kdf():
    labels = ("chain addr-mbx addr-sky slot knock-slot gen-root gen-slot outer outer-next outer-msg outer-inv outer-msg2 msg2-box rec-box "
              "knock root ck0 recover recover-psk recover-outer rekey inv-chain inv-write olm-dummy").split()
    parts = {"addr-sky": [u8(2)], "slot": [u8(7), u8(3)], "knock-slot": [u8(1), u8(7)], "gen-slot": [u8(63)], "outer": [u8(1)],
             "outer-msg": [rnd("nonce", 16), rnd("hash")], "knock": [u8(0) + rnd("nonce", 16)], "recover-outer": [u8(1), u32(324)], "olm-dummy": [u8(2)]}
    out = []
    for label in labels:
        key, p = rnd("kdf " + label), parts.get(label, [])
        n = 48 if label == "outer-msg" else 32
        out.append(dict(name=label, key=key, parts=p, length=n, output=lab.kdf(key, label, *p, length=n)))
    out.append(dict(name="EXTRACT", salt=rnd("salt"), ikm=rnd("ikm", 128), output=extract(rnd("salt"), rnd("ikm", 128))))
    return out


@vectors("sign", "signatures by label (section 1)")
def sign():
    labels = ("deposit fetch delete revoke-leaf register knock announce departure node-record receipt invite-key bundle addr-update").split()
    return [dict(name=l, seed=rnd("sign " + l), public=ed25519.public(rnd("sign " + l)), body=rnd("body " + l, 77),
                 signature=lab.sign(rnd("sign " + l), l, rnd("body " + l, 77))) for l in labels]


CFRG = [
    ("d142b3b1d532b0a516353a0746a6d43a86cee8efaf6b14ae85c2199072f47d93", "bb58c768d9b16571f553efd48207e64391e16439b79fe9409e70b38040c81302", ""),
    ("aa69e9cb50abf39b05ebc823242c4fd13ccadd0dadc1b45f6fcbf7be4f30db5d", "00" * 32, ""),
    ("d1e5a0f806eb3c491566cef6d2d195e6bbf0a54c9de0e291a7ced050c63ea91c", "05b235297dff87c492835d562c6e03c0f36b9c306f2dcb3b5038c2744d4e8a70",
     "d6bbaa0646f5617d3cbd1e22ef05e714d1ec7812efff793999667648b2cc54bc"),
    ("89e3e3acef6a6c2d9b7c062199bf996f9ae96b662c73e2b445636f9f22d5012e", "00" * 32, "802def4d21c7c7d0fa4b48af5e85f8ebfc4119a04117c14d961567eaef2859f2"),
]


@vectors("blind", "key blinding (section 4); the first four with the keys of the draft's published vectors")
def blind():
    out = []
    for n, (sk, bk, ctx) in enumerate(CFRG):
        sk, bk, ctx = bytes.fromhex(sk), bytes.fromhex(bk), bytes.fromhex(ctx)
        pk = ed25519.public(sk)
        secret = ed25519.blind_secret(sk, bk, ctx)
        out.append(dict(name=f"draft {n}", seed=sk, bk=bk, ctx=ctx, public=pk, blinded=ed25519.blind_public(pk, bk, ctx),
                        message=b"hello world", signature=ed25519.sign_expanded(*secret, b"hello world")))
    for n in range(3):
        sk, bk = rnd(f"blind sk {n}"), rnd(f"blind bk {n}")
        pk = ed25519.public(sk)
        secret = ed25519.blind_secret(sk, bk, lab.ctx)
        out.append(dict(name=f"lab {n}", seed=sk, bk=bk, ctx=lab.ctx, public=pk, blinded=ed25519.blind_public(pk, bk, lab.ctx),
                        message=rnd("blind message", 50), signature=ed25519.sign_expanded(*secret, rnd("blind message", 50))))
    return out


ALICE = Generation(lab, "alice", 3, E0)
BOB = Generation(lab, "bob", 0, E0)


@vectors("address", "a generation over epochs (sections 5, 6)")
def address():
    g, out = ALICE, []
    for e in (E0, E0 + 1, E0 + 2):
        st = g.slot_tree(e)
        a = g.mailbox_key(e)[0]
        desc = descriptor(1, 8, a, st[-1][0])
        mb = mailbox(lab, desc)
        parts = []
        for q in (0, 3):
            kt = g.knock_tree(e, q)
            p = g.presence_key(e, q)[0]
            parts.append(dict(part=q, presence=p, knock_root=kt[-1][0], slot=9, knock_key=g.knock_key(e, q, 9)[0], path=path(kt, 9), position=pos("presence", p, 0)))
        out.append(dict(
            name=f"epoch {e}", s=g.s, gen=g.gen, start_epoch=g.start, start_chain=g.chains[g.start], epoch=e, d=g.d, D=g.D, V=g.V, chain=g.chain(e),
            mailbox_key=a, slot_root=st[-1][0], slot=5, sub=2, write_key=g.write_key(e, 5, 2)[0], index=22, path=path(st, 22),
            descriptor=desc, mailbox=mb, position_0=pos("mbx", mb, 0), position_1=pos("mbx", mb, 1), presence=parts, bundle_slot=5, bundle=g.bundle(e, 5),
        ))
    return out


def a_deposit(policy, bucket, content, label):
    e, key, random, expiry = E0, rnd("outer " + label), rnd("random " + label), lab.expiry(T + 1209600)
    if policy:
        pub, secret = ALICE.write_key(e, 5, 2)
        a, index, siblings = ALICE.mailbox_key(e)[0], 22, path(ALICE.slot_tree(e), 22)
    else:
        seed = rnd("single write key")
        pub, secret = ed25519.public(seed), ed25519.expand(seed)
        a, index, siblings = ALICE.mailbox_key(e)[0], 0, []
    d = f.deposit(lab, policy, expiry, a, pub, secret, index, siblings, bucket, key, content, random)
    return dict(name=label, policy=policy, bucket=bucket, expiry=expiry, mailbox_key=a, write_key=pub, index=index, outer_key=key, random=random, content=content, **d)


@vectors("deposit", "deposits (section 7), slot 5 sub-slot 2 of the generation in address.json, and single-key mailboxes; stamps (section 10)")
def deposit():
    out = []
    for bucket, n in enumerate(f.BUCKETS):
        out.append(a_deposit(1, bucket, rnd(f"content {bucket}", n - 34), f"full bucket {bucket}"))
    out.append(a_deposit(1, 0, b"\x01", "one byte"))
    out.append(a_deposit(0, 1, rnd("content inv", 3700), "single key"))
    key = ed25519.public(rnd("stamp node"))
    for bits in (0, 8, 12):
        n = 0
        while True:
            stamp = u64(n) + bytes(8)
            digest = h(b"hermes/1 stamp", out[0]["mailbox"], out[0]["id"], key, u32(7782), stamp)
            if int.from_bytes(digest, "big") >> (256 - bits) == 0:
                break
            n += 1
        out.append(dict(name=f"stamp {bits}", mailbox=out[0]["mailbox"], id=out[0]["id"], node_key=key, hour=7782, bits=bits, stamp=stamp, digest=digest))
    for c in out[:4]:
        if c["bucket"] > 1:  # keep the files readable: big records by hash
            c["record_hash"] = h(c.pop("record"))
            c["content_label"] = f"content {c['bucket']}"
            c["content_hash"] = h(c.pop("content"))
    return out


@vectors("receipt", "receipts (section 10)")
def receipt():
    out = []
    seed = rnd("keeper")
    for n in (1, 2, 3, 5):
        entries = [(rnd(f"dep {i}"), rnd(f"mb {i}"), 8000 + i) for i in range(n)]
        out.append(dict(name=f"{n} deposits", seed=seed, time=T, entries=[dict(id=i, mailbox=m, expiry=x) for i, m, x in entries],
                        receipts=f.receipts(lab, seed, T, entries)))
    return out


NODES = [("sky", 1, "127.0.0.1", 4433, 0), ("sky", 1, "203.0.113.77", 443, 1), ("earth", 2, "2001:db8:1:2::9", 7000, 0)]


@vectors("node", "node records, URIs and ring points (sections 6, 8)")
def nodes():
    out = []
    for n, (role, code, ip, port, slot) in enumerate(NODES):
        seed, hpke = rnd(f"node {n}"), rnd(f"hpke {n}")
        key = ed25519.public(seed)
        addrs = [(ip, port)] if n != 1 else [(ip, port), ("2001:db8::1", 443)]
        out.append(dict(
            name=f"node {n}", role=code, seed=seed, node_key=key, flags=3 if n == 2 else 1, hpke_key=hpke, seq=T * 1000 + n, expires=T + 86400, slot=slot,
            record=f.record(lab, seed, code, 3 if n == 2 else 1, hpke, T * 1000 + n, T + 86400, slot, addrs), uri=f.uri(role, key, ip, port),
            earth_point=pos("earth", key, 0), sky_point_diverse=pos("sky", f.place(1, ip, port, slot), 0), sky_point_lab=pos("sky", f.place(0, ip, port, slot), 0),
        ))
    return out


def slot_mailbox():
    return descriptor(1, 8, ALICE.mailbox_key(E0)[0], ALICE.slot_tree(E0)[-1][0])


@vectors("earth", "bodies of earth requests and answers (section 10)")
def earth():
    desc, binding, key = slot_mailbox(), rnd("binding"), ed25519.public(rnd("keeper"))
    mb, secret = mailbox(lab, desc), ALICE.mailbox_key(E0)[1]
    common = dict(descriptor=desc, mailbox=mb, binding=binding, node_key=key)
    ids = [rnd(f"id {i}") for i in range(3)]
    random = rnd("delete random", 16)
    dsig = lab.sign_blinded(secret, "delete", mb + random + u16(3) + b"".join(ids))
    rsig = lab.sign_blinded(secret, "revoke-leaf", mb + random + u16(20) + u16(24))
    small = a_deposit(1, 0, b"\x01", "one byte")["record"]
    return [
        dict(name="OPEN", **common, body=desc + lab.sign_blinded(secret, "fetch", binding + key + mb)),
        dict(name="OPEN answer", handle=1, head=77, body=u16(1) + u64(77)),
        dict(name="PUT", deposit=small, body=bytes(16) + small),
        dict(name="FETCH", handle=1, after=5, max_bytes=262000, body=u16(1) + u64(5) + u32(262000)),
        dict(name="FETCH answer", more=1, seqs=[6, 9], deposit=small, body=u8(1) + u16(2) + b"".join(u64(s) + u32(len(small)) + small for s in (6, 9))),
        dict(name="WATCH", handle=2, body=u16(2)),
        dict(name="ARRIVED", handle=2, seq=12, deposit=small, body=u16(2) + u64(12) + small),
        dict(name="DELETE", **common, random=random, ids=ids, body=desc + random + u16(3) + b"".join(ids) + dsig),
        dict(name="DELETE answer", deleted=2, body=u16(2)),
        dict(name="REVOKE", **common, random=random, first=20, end=24, body=desc + random + u16(20) + u16(24) + rsig),
        dict(name="error", code=8, retry_after_s=30, reason=b"18", body=u8(8) + u32(30) + var8(b"18")),
    ]


@vectors("sky", "bodies of sky requests and answers (section 11)")
def sky():
    binding, seed = rnd("sky binding"), rnd("node 0")
    key = ed25519.public(seed)
    p, secret = ALICE.presence_key(E0, 1)
    root = ALICE.knock_tree(E0, 1)[-1][0]
    refused = 1 << 9 | 1
    sig = lab.sign_blinded(secret, "register", binding + key + root + u64(refused) + u8(0) + u32(600))
    rec = f.record(lab, rnd("node 2"), 2, 3, rnd("hpke 2"), T * 1000 + 2, T + 86400, 0, [("2001:db8:1:2::9", 7000)])
    dep = u8(2) + ed25519.public(rnd("node 2")) + u64(T * 1000 + 2) + key
    dep += lab.sign(seed, "departure", dep)
    nonce, sealed = rnd("knock nonce", 16), rnd("sealed", 512)
    return [
        dict(name="REGISTER", presence=p, knock_root=root, refused=[0, 9], lease_s=600, binding=binding, node_key=key, body=p + root + u64(refused) + u8(0) + u32(600) + sig),
        dict(name="REGISTER answer", lease_s=600, body=u32(600)),
        dict(name="LIST", role=1, after=key, max=100, body=u8(1) + key + u16(100)),
        dict(name="LIST answer", more=0, records=[rec], body=u8(0) + u16(1) + var16(rec)),
        dict(name="KEEPERS", position=rnd("position"), n=10, body=rnd("position") + u8(10)),
        dict(name="KEEPERS answer", records=[rec], body=u16(1) + var16(rec)),
        dict(name="ANNOUNCE", record=rec, binding=binding, node_key=key, body=var16(rec) + lab.sign(rnd("node 2"), "announce", binding + key + h(rec))),
        dict(name="departure", role=2, gone=ed25519.public(rnd("node 2")), seq=T * 1000 + 2, by_seed=seed, item=dep),
        dict(name="SPREAD", body=u16(2) + u8(2) + var16(rec) + u8(3) + var16(dep)),
        dict(name="DIGEST answer", sky=h(key + u64(5)), earth=h(), body=h(key + u64(5)) + h()),
        dict(name="INCOMING", presence=p, slot=9, nonce=nonce, sealed=sealed, body=p + u8(9) + nonce + sealed),
        dict(name="OBSERVED", address=f.addr("203.0.113.9", 50000), body=f.addr("203.0.113.9", 50000)),
    ]


@vectors("knock", "knocks and answers (section 11)")
def knock():
    out = []
    p = ALICE.presence_key(E0, 1)[0]
    for slot in (0, 9, 63):
        pub, secret = ALICE.knock_key(E0, 1, slot)
        siblings, nonce, key = path(ALICE.knock_tree(E0, 1), slot), rnd(f"nonce {slot}", 16), rnd(f"K_out {slot}")
        back = rnd(f"K_back {slot}")
        plain = f.knock_plain(T * 1000, rnd("tls caller"), [("127.0.0.1", 40000), ("2001:db8::5", 40001)])
        reply = f.answer_plain(T * 1000 + 5, rnd("tls callee"), rnd("tag", 16), [("127.0.0.1", 41000)])
        sealed = f.knock_seal(lab, key, 0, nonce, p, plain)
        out.append(dict(name=f"slot {slot}", presence=p, knock_key=pub, slot=slot, nonce=nonce, outer_key=key, outer_key_back=back, time=T * 1000, tls_key=rnd("tls caller"),
                        plain=plain, sealed=sealed, knock=f.knock(lab, 0, p, pub, secret, slot, siblings, nonce, sealed),
                        probe=f.knock(lab, 1, p, pub, secret, slot, siblings, nonce, bytes(512)),
                        answer_plain=reply, answer=f.knock_seal(lab, back, 1, nonce, p, reply), tag=rnd("tag", 16), answer_tls_key=rnd("tls callee")))
    return out


class Invite:
    def __init__(self, name="alice", flags=0):
        self.ik, self.d, self.s, self.k = rnd(name + " ik"), rnd(name + " d_inv"), rnd(name + " s_a"), rnd(name + " k_inv")
        self.start, self.expiry = E0, lab.expiry(T + 172800)
        self.nodes = [("127.0.0.1", 4433, ed25519.public(rnd("node 0"))), ("2001:db8::1", 443, ed25519.public(rnd("node 1")))]
        self.bytes = f.invite(lab, flags, self.start, self.expiry, ed25519.public(self.d), x_public(self.s), self.k, ed25519.public(self.ik), self.nodes)


@vectors("invite", "invites and their mailboxes (section 13)")
def invite():
    out = []
    for flags in (0, 1):
        i = Invite("alice", flags)
        chain, boxes = lab.kdf(i.k, "inv-chain"), []
        for e in range(i.start, i.start + 3):
            bk, w = lab.kdf(chain, "addr-mbx"), lab.kdf(chain, "inv-write")
            a = ed25519.blind_public(ed25519.public(i.d), bk, lab.ctx)
            desc = descriptor(0, 0, a, leaf(ed25519.public(w)))
            boxes.append(dict(epoch=e, chain=chain, mailbox_key=a, write_seed=w, write_key=ed25519.public(w), descriptor=desc, mailbox=mailbox(lab, desc)))
            chain = lab.kdf(chain, "chain")
        out.append(dict(name=f"flags {flags}", flags=flags, start_epoch=i.start, expiry=i.expiry, d_seed=i.d, D=ed25519.public(i.d), s_secret=i.s, S=x_public(i.s), k_inv=i.k,
                        ik_seed=i.ik, ik=ed25519.public(i.ik), nodes=[dict(address=f.addr(a, p), hash=h(k)[:8]) for a, p, k in i.nodes], bytes=i.bytes,
                        text="hermes:" + f.base32(i.bytes).lower(), uri="HERMES:" + f.base32(i.bytes), outer_key=lab.kdf(i.k, "outer-inv"), mailboxes=boxes))
    return out


DEVICES = u32(1) + u8(1) + u16(1)
CAPS = bytes([1, 1, 1])


def certificate(ik, ix):
    return lab.sign(ik, "bundle", x_public(ix) + DEVICES)


def outer_chain(key, e0):
    rows = []
    for e in range(e0, e0 + 3):
        rows.append(dict(epoch=e, key=key))
        key = lab.kdf(key, "outer-next")
    return rows


@vectors("handshake", "the first handshake (section 14); A is alice, B is bob")
def handshake():
    i = Invite()
    b = dict(ik=rnd("bob ik"), ix=rnd("bob ix"), e=rnd("bob e"), kem=rnd("bob kem"), r=rnd("bob r"))
    a = dict(ik=i.ik, ix=rnd("alice ix"), e=rnd("alice e"), encaps=rnd("alice encaps", 64))
    prologue = b"hermes/1 hs" + lab.id + u8(1) + CAPS + h(i.bytes)
    hb = Handshake("IKpsk0", prologue, i.k, True, b["ix"], b["e"], x_public(i.s))
    ha = Handshake("IKpsk0", prologue, i.k, False, i.s, a["e"])
    ek, _ = xwing_keys(b["kem"])
    bundle_b, bundle_a = BOB.bundle(E0, 0), ALICE.bundle(E0, 7)
    p1 = ed25519.public(b["ik"]) + DEVICES + certificate(b["ik"], b["ix"]) + ek + x_public(b["r"]) + bundle_b + var8(b"bob")
    n1 = hb.write(p1)
    assert ha.read(n1) == p1
    h1 = ha.h
    ct, ss = xwing_encaps(ek, a["encaps"])
    assert xwing_decaps(b["kem"], ct) == ss
    box = seal(lab.kdf(extract(h1, ss), "msg2-box"), b"", bundle_a + var8(b"alice"))
    p2 = (ed25519.public(a["ik"]) + lab.sign(a["ik"], "invite-key", x_public(i.s) + ed25519.public(i.d) + u32(i.expiry)) + x_public(a["ix"]) + DEVICES
          + certificate(a["ik"], a["ix"]) + ct + var16(box))
    n2 = ha.write(p2)
    assert hb.read(n2) == p2 and ha.h == hb.h
    k1, k2 = ha.split()
    prk = extract(ha.h, k1 + k2 + ss + i.k)
    ab, ba = lab.kdf(prk, "outer", u8(0)), lab.kdf(prk, "outer", u8(1))
    first = u16(0) + u8(0) + rnd("first olm message", 180)
    return [dict(
        name="alice invites bob", invite=i.bytes, s_secret=i.s, k_inv=i.k, a_ik_seed=a["ik"], a_ix=a["ix"], a_ephemeral=a["e"], a_encaps=a["encaps"], a_bundle=bundle_a, a_text=b"alice",
        b_ik_seed=b["ik"], b_ix=b["ix"], b_ephemeral=b["e"], b_kem_seed=b["kem"], b_ratchet=b["r"], b_bundle=bundle_b, b_text=b"bob", prologue=prologue,
        payload1=p1, noise1=n1, msg1=u8(2) + CAPS + n1, h1=h1, ct=ct, ss=ss, payload2=p2, noise2=n2, first=first, msg2=u8(3) + u16(len(n2)) + n2 + first,
        h=ha.h, k1=k1, k2=k2, prk=prk, rk0=lab.kdf(prk, "root"), ck0=lab.kdf(prk, "ck0"), s_rec=lab.kdf(prk, "recover"), s_rekey=lab.kdf(prk, "rekey"),
        outer_a_to_b=outer_chain(ab, E0), outer_b_to_a=outer_chain(ba, E0), outer_msg2=lab.kdf(i.k, "outer-msg2"),
        dummy_keys=[lab.kdf(lab.kdf(prk, "root"), "olm-dummy", u8(n)) for n in range(3)],
        safety_text=safety_number(ed25519.public(a["ik"]) + x_public(a["ix"]), ed25519.public(b["ik"]) + x_public(b["ix"])).encode(),
    )]


@vectors("xwing", "X-Wing (section 14)")
def xwing():
    out = []
    for n in range(3):
        sk, random = rnd(f"xwing sk {n}"), rnd(f"xwing random {n}", 64)
        ek, _ = xwing_keys(sk)
        ct, ss = xwing_encaps(ek, random)
        assert xwing_decaps(sk, ct) == ss
        out.append(dict(name=f"{n}", seed=sk, ek=ek, random=random, ct=ct, ss=ss))
    return out


@vectors("recovery", "recovery (section 17); bob starts, alice answers")
def recovery():
    iks = {n: ed25519.public(rnd(n + " ik")) for n in ("alice", "bob")}
    lower, upper = sorted(iks.values())
    s_rec, counter = rnd("S_rec"), T + 7
    b = dict(ix=rnd("bob ix"), e=rnd("bob rec e"), kem=rnd("bob rec kem"), r=rnd("bob rec r"))
    a = dict(ix=rnd("alice ix"), e=rnd("alice rec e"), encaps=rnd("alice rec encaps", 64))
    prologue = b"hermes/1 rec" + lab.id + u8(1) + u64(counter) + lower + upper
    psk = lab.kdf(s_rec, "recover-psk")
    hb = Handshake("KKpsk0", prologue, psk, True, b["ix"], b["e"], x_public(a["ix"]))
    ha = Handshake("KKpsk0", prologue, psk, False, a["ix"], a["e"], x_public(b["ix"]))
    ek, _ = xwing_keys(b["kem"])
    p1 = u16(2) + ek + x_public(b["r"]) + u64(1 << 20) + BOB.bundle(E0, 0)
    n1 = hb.write(p1)
    assert ha.read(n1) == p1
    h1 = ha.h
    ct, ss = xwing_encaps(ek, a["encaps"])
    box = seal(lab.kdf(extract(h1, ss), "rec-box"), b"", ALICE.bundle(E0, 7))
    p2 = u16(4) + ct + u64(52) + var16(box)
    n2 = ha.write(p2)
    assert hb.read(n2) == p2
    k1, k2 = ha.split()
    prk = extract(ha.h, k1 + k2 + ss + s_rec)
    first = u16(4) + u8(0) + rnd("first olm message", 180)
    return [dict(
        name="bob recovers", s_rec=s_rec, counter=counter, ik_lower=lower, ik_upper=upper, starter_ik=iks["bob"], starter_ix=b["ix"], starter_ephemeral=b["e"], starter_kem_seed=b["kem"],
        starter_ratchet=b["r"], starter_gen=2, starter_next_seq=1 << 20, starter_bundle=BOB.bundle(E0, 0), answerer_ix=a["ix"], answerer_ephemeral=a["e"], answerer_encaps=a["encaps"],
        answerer_gen=4, answerer_next_seq=52, answerer_bundle=ALICE.bundle(E0, 7), prologue=prologue, psk=psk, payload1=p1, msg1=u8(4) + u64(counter) + n1, h1=h1, ss=ss,
        payload2=p2, first=first, msg2=u8(5) + u64(counter) + u16(len(n2)) + n2 + first, h=ha.h, k1=k1, k2=k2, prk=prk, rk0=lab.kdf(prk, "root"), ck0=lab.kdf(prk, "ck0"),
        s_rekey=lab.kdf(prk, "rekey"), outer_answerer_to_starter=lab.kdf(prk, "outer", u8(0)), outer_starter_to_answerer=lab.kdf(prk, "outer", u8(1)),
        outer_keys=[dict(direction=d, epoch=E0 + 1, key=lab.kdf(s_rec, "recover-outer", u8(d), u32(E0 + 1))) for d in (0, 1)],
    )]


@vectors("rekey", "the re-key schedule (section 16)")
def rekey():
    s_rekey, kem, random = rnd("S_rekey"), rnd("rekey kem"), rnd("rekey encaps", 64)
    ek, _ = xwing_keys(kem)
    ct, ss = xwing_encaps(ek, random)
    ident = rnd("rekey id", 16)
    offer = ident + u32(E0) + x_public(rnd("rekey r")) + ek
    answer = ident + ct
    prk = extract(s_rekey, ss + h(offer, answer))
    return [dict(name="re-key", s_rekey=s_rekey, kem_seed=kem, encaps=random, id=ident, epoch=E0, ratchet=rnd("rekey r"), offer=offer, answer=answer, ss=ss, prk=prk,
                 rk0=lab.kdf(prk, "root"), ck0=lab.kdf(prk, "ck0"), s_rekey_next=lab.kdf(prk, "rekey"), outer_low_to_high=lab.kdf(prk, "outer", u8(0)),
                 outer_high_to_low=lab.kdf(prk, "outer", u8(1)))]


@vectors("packet", "packets (section 15.2)")
def packet():
    text = "grüße 🛰".encode()
    frames = [(0x20, 1, 7, rnd("m1", 16), T * 1000, text), (0x21, 0, 8, rnd("m2", 16), T * 1000 + 1, u64(5)), (0x26, 0, 0, bytes(16), T * 1000 + 2, b"")]
    show = [dict(kind=k, flags=fl, conv_seq=s, msg_id=m, sent_at=t, body=b) for k, fl, s, m, t, b in frames]
    return [
        dict(name="empty", device=1, floor=1, acks=[], frames=[], bytes=f.packet(1, 1, [], [])),
        dict(name="acks only", device=1, floor=4, acks=[[1, 5], [7, 7]], frames=[], bytes=f.packet(1, 4, [(1, 5), (7, 7)], [])),
        dict(name="frames", device=1, floor=7, acks=[[1, 9]], frames=show, bytes=f.packet(1, 7, [(1, 9)], frames)),
    ]
