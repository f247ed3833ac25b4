# SPDX-License-Identifier: Apache-2.0
"""Custodians, each with a certificate and a key file of its own, at the command line."""
import hashlib
import json
import os

import issuing
from harness import check, equal, wait_until

FIVE = [f"custodian-{i}" for i in range(1, 6)]
SIXTH = "custodian-6"


def shares_seal(system, more=""):
    """Has the vault's configuration ask for shares; before it is started for the first time."""
    system.edit("vault.yaml", "seal: {kind: file, path: seal.key}", f"seal: {{kind: shares{more}}}")


def state(system, who="security"):
    """What the vault says of its seal; None where it does not answer."""
    caller = system.vault(who)
    try:
        answer = caller.get("/v1/seal")
        return answer.json if answer.status == 200 else None
    except OSError:
        return None
    finally:
        caller.close()


def start_sealed(system):
    """The vault alone, of which nothing but an answer is waited for."""
    system.spawn("vault")
    return wait_until(lambda: state(system), "the vault answers")


def entries(system, event):
    return [entry for entry in system.audit() if entry["event"] == event]


def post(system, who, tail, body):
    return system.vault(who).post(f"/v1/seal/{tail}", body)


def restart(system):
    system.stop("vault")
    return start_sealed(system)


def killed(system):
    system.kill("vault")
    return start_sealed(system)


def is_open(system):
    found = state(system)
    return found is not None and found["state"] == "open"


class Custodians:
    """Their key files, and the shares that they wrote down."""

    def __init__(self, system, names=None):
        self.system = system
        self.names = list(names or FIVE)
        self.shares = {}
        self.folder = system.path("custodians")
        os.makedirs(self.folder, exist_ok=True)

    def run(self, who, *words, text=None):
        return self.system.cardkeep(*words, "--as", who, text=text)

    def path(self, who):
        return os.path.join(self.folder, f"{who}.key")

    def key(self, who):
        """The file of its key, made where there is none."""
        path = self.path(who)
        if not os.path.exists(path):
            done = self.system.cardkeep("custodian", "key", path, config=False)
            equal(done.returncode, 0, f"a key: {done.stderr}")
        return path

    def init(self, threshold=3, *more):
        done = self.system.cardkeep("init", "--json", "--threshold", str(threshold), *more,
                                    *self.names)
        equal(done.returncode, 0, f"init: {done.stderr}")
        return json.loads(done.stdout)["ceremony"]["id"]

    def accept(self, who):
        done = self.run(who, "custodian", "accept", "--yes", "--key", self.key(who))
        equal(done.returncode, 0, f"{who} accepts: {done.stderr}")

    def collect(self, who):
        """Fetches and proves the share; its text is what the custodian wrote down."""
        done = self.run(who, "custodian", "collect", "--json", "--confirm", "--key", self.key(who))
        equal(done.returncode, 0, f"{who} collects: {done.stderr}")
        shown, proven = [json.loads(line) for line in done.stdout.splitlines()]
        self.shares[who] = shown["share"]
        return proven["done"]

    def ceremony(self):
        """All of it, behind its beginning."""
        for who in self.names:
            self.accept(who)
        done = [self.collect(who) for who in self.names]
        equal(done, [False] * (len(self.names) - 1) + [True], "who was the last")

    def give(self, who, share=None):
        return self.run(who, "unseal", "--json", text=(share or self.shares[who]) + "\n")

    def unseal(self, *who):
        """These give their shares, and the vault is open."""
        for one in who:
            done = self.give(one)
            equal(done.returncode, 0, f"{one}: {done.stderr}")
        check(is_open(self.system), f"{who} open the vault: {state(self.system)}")


def prepared(system):
    """For a file's prepare(): a new vault whose seal is to be of shares, one custodian more than it
    gets, and two more certificates of the first, one of which has run out."""
    shares_seal(system)
    folder = system.path("tls")
    issuing.certificate(folder, SIXTH, f"URI:urn:cardkeep:{SIXTH}")
    issuing.certificate(folder, "custodian-1-new", "URI:urn:cardkeep:custodian-1")
    issuing.certificate(folder, "custodian-1-late", "URI:urn:cardkeep:custodian-1", days=-1)
    system.edit("policies.yaml", "destinations:\n", f'  {SIXTH}: {{uri: "urn:cardkeep:{SIXTH}"}}\n'
                "destinations:\n")
    system.edit("policies.yaml", "custodian-4, custodian-5]",
                f"custodian-4, custodian-5, {SIXTH}]")
    lines = "".join(f"  {name}: {{certificate: tls/{name}.pem, key: tls/{name}.key}}\n"
                    for name in (SIXTH, "custodian-1-new", "custodian-1-late"))
    system.edit("cli.yaml", "verifiers:", lines + "verifiers:")
    whole = system.start

    def start(*names):
        if names:
            whole(*names)
            return
        whole("sandbox")
        start_sealed(system)
        system.spawn("relay")  # Ready once the vault is open.
    system.start = start
    return Custodians(system)


# ---- A second opinion on what a share is, and what a root is made of ----

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def share_parts(text):
    """(index, value) of a share's text."""
    raw = _raw(text)
    return raw[10], raw[11:]


def _raw(text):
    plain = "".join(text.lower().split())
    check(plain.startswith("ckshare1"), "the prefix")
    bits = "".join(f"{ALPHABET.index(c):05b}" for c in plain[len("ckshare1"):-6])
    return bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8))


def digest_of(text):
    """What proves a share."""
    return hashlib.sha256(b"cardkeep share 1\0" + _raw(text)).hexdigest()


def _checksum(symbols):
    prefix = [ord(c) >> 5 for c in "ckshare"] + [0] + [ord(c) & 31 for c in "ckshare"]
    remainder = 1
    for symbol in prefix + symbols + [0] * 6:
        top = remainder >> 25
        remainder = (remainder & 0x1ffffff) << 5 ^ symbol
        for bit, generator in enumerate((0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                         0x2a1462b3)):
            remainder ^= generator if top >> bit & 1 else 0
    remainder ^= 0x2bc830a3
    return [remainder >> 5 * (5 - i) & 31 for i in range(6)]


def forged(text):
    """A share with the same marks and another value, well written."""
    raw = bytearray(_raw(text))
    raw[-1] ^= 1
    bits = "".join(f"{byte:08b}" for byte in raw)
    bits += "0" * (-len(bits) % 5)
    symbols = [int(bits[at:at + 5], 2) for at in range(0, len(bits), 5)]
    return "ckshare1" + "".join(ALPHABET[symbol] for symbol in symbols + _checksum(symbols))


def _times(a, b):
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11b << (bit - 8)
    return product


def root_of(texts):
    """Lagrange's polynomial at 0, byte by byte."""
    parts = [share_parts(text) for text in texts]
    root = bytes(32)
    for own, value in parts:
        weight = 1
        for other, _ in parts:
            if other != own:
                inverse = next(x for x in range(256) if _times(x, other ^ own) == 1)
                weight = _times(weight, _times(other, inverse))
        root = bytes(a ^ _times(weight, b) for a, b in zip(root, value))
    return root
