#!/usr/bin/env python3
"""A second verifier of Portolan's ledger, made after docs/reference/audit-record.md alone: nothing but Python's standard library.

    audit_verify.py --key HEX [--key HEX ...] [--witness FILE] DIR [DIR ...]

For each directory it prints `good`, or `bad: REPLICA: why`; the exit status is 1 where any is bad.
"""
import hashlib
import json
import os
import re
import sys

BEGINS = '{"v":1,"type":"checkpoint",'  # of which a full disk may have no more
HEAD = re.compile(
    r'\{"v":1,"type":"([a-z0-9._-]+)","time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)",'
    r'"replica":"([a-z0-9._-]+)","seq":(0|[1-9]\d{0,18}),"prev":"sha256:([0-9a-f]{64})"(.*\})', re.A | re.S)
SIGNED = re.compile(r'(.*),"signature":"([0-9a-f]{128})"\}', re.S)
PURPOSE, LONGEST = b"portolan ledger 1\n", 64 * 1024 * 1024

# Ed25519, RFC 8032 section 6, verification only.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)


def recover(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if y >= P or x2 == 0:
        return None if sign or y >= P else 0
    x = pow(x2, (P + 3) // 8, P)
    x = x * ROOT % P if (x * x - x2) % P else x
    return None if (x * x - x2) % P else P - x if x & 1 != sign else x


def point(data):
    y = int.from_bytes(data, "little") & (1 << 255) - 1
    x = recover(y, data[31] >> 7)
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(s, a):
    total = (0, 1, 1, 0)
    while s:
        total = add(total, a) if s & 1 else total
        a, s = add(a, a), s >> 1
    return total


GY = 4 * pow(5, P - 2, P) % P
G = point(GY.to_bytes(32, "little"))


def has_signed(key, text, signature):
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    one, two = times(s, G), add(r, times(h, a))
    return (one[0] * two[2] - two[0] * one[2]) % P == 0 and (one[1] * two[2] - two[1] * one[2]) % P == 0


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    """RFC 9162 section 2.1.1; a leaf is the hash of a record."""
    if len(leaves) < 2:
        return sha(b"\0", leaves[0]) if leaves else sha()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\1", root(leaves[:split]), root(leaves[split:]))


class Bad(Exception): pass


def check_signature(line, rest, keys):
    signed = SIGNED.fullmatch(line)
    if not signed:
        raise Bad("the signature is missing")
    key = bytes.fromhex(json.loads("{" + rest[1:]).get("key", "")[len("ed25519:"):])
    if key not in keys:
        raise Bad("signed with a key that is none of those given")
    if not has_signed(key, PURPOSE + signed[1].encode(), bytes.fromhex(signed[2])):
        raise Bad("the signature is wrong")


def is_ours(line, keys):  # who may write into a witness must not have anybody accused by it
    signed = SIGNED.fullmatch(line)
    return signed and any(has_signed(key, PURPOSE + signed[1].encode(), bytes.fromhex(signed[2])) for key in keys)


def hole(line, begins, whole):
    """Zeros up to the end of a sector, or of the file: a power cut, and no record has any."""
    return whole - begins <= 1 << 24 and any((zeros.start() == 0 or (begins + zeros.start()) % 512 == 0 or len(zeros[0]) >= 16)
               and ((begins + zeros.end()) % 512 == 0 or begins + zeros.end() == whole)
               for zeros in re.finditer(b"\0+", line))


def lines_of(path, is_last):
    if os.path.islink(path) or not os.path.isfile(path):
        raise Bad("no file")
    data, begins = open(path, "rb").read(), 0
    if not data and not is_last:
        raise Bad("an empty segment")
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
        if is_last and hole(line, begins, len(data)):
            return
        begins += len(line)
        if line[-1:] != b"\n" or len(line) > LONGEST:
            if is_last and len(line) < LONGEST:
                return
            raise Bad("a line without an end")
        yield line[:-1].decode()


def check_replica(directory, name, keys, seen):
    numbers = sorted(int(f[:-6]) for f in os.listdir(directory) if re.fullmatch(r"\d{8,}\.jsonl", f, re.A))
    if numbers and numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise Bad("a segment is missing")
    following, prev, first, leaves, begins, deleted, is_first = 0, bytes(32), 0, [], None, set(), True
    for number in numbers:
        for line in lines_of(os.path.join(directory, f"{number:08}.jsonl"), number == numbers[-1]):
            head = HEAD.fullmatch(line)
            if not head:
                raise Bad("no record")
            kind, _, replica, seq, before, rest = head.groups()
            seq, before = int(seq), bytes.fromhex(before)
            if replica != name:
                raise Bad("a record of another replica")
            if is_first and (seq, before) != (0, bytes(32)):
                begins, following, prev, first = (seq - 1, before), seq, before, seq
            is_first = False
            if (seq, before) != (following, prev):
                raise Bad(f"record {seq} does not follow the one before it, which is {following - 1}")
            if any(is_ours(other, keys) for other in seen.get(seq, {line}) - {line}):
                raise Bad(f"the witness has seen another checkpoint at {seq}")
            if kind == "checkpoint":
                if not rest.startswith(f',"first":{first},"root":"sha256:{root(leaves).hex()}"'):
                    raise Bad(f"checkpoint {seq} does not cover what stands before it")
                check_signature(line, rest, keys)
            elif kind == "deleted":
                check_signature(line, rest, keys)
                members = json.loads("{" + rest[1:])
                deleted.add((members["last"], bytes.fromhex(members["hash"][len("sha256:"):])))
            prev, following = sha(line.encode()), seq + 1
            leaves, first = ([], following) if kind == "checkpoint" else (leaves + [prev], first)
            if len(leaves) > 8192:
                raise Bad("too many records that nobody has signed")
    if begins and begins not in deleted:
        raise Bad("what was before is missing, and nothing signed says that it was deleted")
    for seq in (seq for seq in seen if seq >= following and any(is_ours(line, keys) for line in seen[seq])):
        raise Bad(f"cut off before {following}; the witness has seen {seq}")


def main(args):
    keys, witness, directories, status = set(), {}, [], 0
    while args:
        arg = args.pop(0)
        if arg == "--key":
            keys.add(bytes.fromhex(args.pop(0).removeprefix("ed25519:")))
        elif arg == "--witness":
            for line in open(args.pop(0), "rb").read().decode(errors="replace").split("\n"):
                head = HEAD.fullmatch(line)
                if head and head[1] == "checkpoint":
                    witness.setdefault(head[3], {}).setdefault(int(head[4]), set()).add(line)
                elif not BEGINS.startswith(line) and not (line.startswith(BEGINS) and line[-1] != "}"):
                    witness.setdefault("the witness", {})  # which is no replica
        else:
            directories.append(arg)
    if not directories or not keys or any(directory.startswith("-") for directory in directories):
        print(__doc__)
        return 2
    for directory in directories:
        replicas = [entry.name for entry in os.scandir(directory)
                    if entry.is_dir(follow_symlinks=False) and re.fullmatch("[a-z0-9._-]+", entry.name)]
        absent = {name for name in witness.keys() - set(replicas) if not witness[name] or any(
            is_ours(line, keys) for line in set().union(*witness[name].values()))}
        said = "good"
        for name in sorted(absent.union(replicas)):
            try:
                if name not in replicas:
                    raise Bad("all of it is missing")
                check_replica(os.path.join(directory, name), name, keys, witness.get(name, {}))
            except (Bad, ValueError, TypeError, KeyError, AttributeError, RecursionError) as bad:
                said, status = f"bad: {name}: {bad}", 1
                break
        print(said)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
