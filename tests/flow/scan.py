# SPDX-License-Identifier: Apache-2.0
"""Looks for cards wherever a system could have left one: in the memory of every process of vault
and relay, in what they have open, and in every file below the system's folder.

A number is looked for in every shape that a program could give it, and in parts: from eight digits
that stand together on, so that a copy cut in two by the edge of a buffer is found as well.  Numbers
are drawn for each run, of a range that nobody issues, so that such parts do not arise otherwise.
"""
import base64
import json
import os
import random
import stat
import subprocess

from harness import check, wait_until

PART = 8  # Digits; of a number of sixteen, one of two halves has as many.
# The more numbers, the likelier eight digits of one stand somewhere by chance: of those behind the
# first ones of a search, so many have to stand together.
PART_OF_MANY = 12
FIRST_ONES = 2
PART_PACKED = 12  # Two digits a byte: fewer of them are in any megabyte of noise.
SETTLED_S = 2  # Shorter than what the daemons do by themselves, which overwrites what was left.
LEAST_READ = 1 << 20  # Bytes: no process is smaller.

_drawn = random.SystemRandom()


def drawn_card(length=16):
    """A number nobody has, and nothing else in it that is ordinary."""
    while True:
        body = "9999" + "".join(_drawn.choice("0123456789") for _ in range(length - 5))
        if all(body[4:].count(digit) <= length // 3 for digit in "0123456789"):
            break
    total = 0
    for index, digit in enumerate(reversed(body)):
        value = int(digit) * (2 - index % 2)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def drawn_text(length=20):
    """A name, a memo: letters that nobody else writes."""
    return "".join(_drawn.choice("bcdfghjklmnpqrstvwxz") for _ in range(length))


def _parts(whole, size):
    return [whole[at:at + size] for at in range(len(whole) - size + 1)]


def _spelled(part, before, between=b"", after=b""):
    """Each digit as its code in hex, between marks."""
    return between.join(before + b"%02x" % ord(digit) + after for digit in part)


def _base64(number, size):
    """The characters that the number alone decides, at each of its three places in a group."""
    for skip in range(3):
        text = base64.b64encode(b"\0" * skip + number.encode() + b"\0\0").rstrip(b"=")
        own = text[-(-8 * skip // 6):8 * (skip + len(number)) // 6]
        yield from _parts(own, 4 * size // 3 + 1)


def _packed(number):
    """Binary-coded decimal: a window that begins at an odd digit is the other alignment."""
    for part in _parts(number, PART_PACKED):
        yield bytes.fromhex(part)
        yield bytes.fromhex("".join(part[at + 1] + part[at] for at in range(0, PART_PACKED, 2)))


def shapes(number, size=PART):
    """{bytes: what they are} of everything that would give the number away, `size` digits of it
    together."""
    found = {}

    def add(what, several):
        for one in several:
            if one[0] != 0:
                found.setdefault(one, what)
    parts = _parts(number, size)
    add("digits", (part.encode() for part in parts))
    for mark in " -":
        for groups in ((4, 8, 12, 16), (4, 10), (6, 10)):
            text = "".join((mark if at in groups else "") + digit
                           for at, digit in enumerate(number))
            add("grouped", (one.strip(mark).encode() for one in _parts(text, size + 3)
                            if mark in one.strip(mark)))
    for width in (2, 4):  # Little or big end first: what stands between is the same.
        add(f"UTF-{8 * width}", ((b"\0" * (width - 1)).join(digit.encode() for digit in part)
                                 for part in parts))
    add("JSON escapes", (_spelled(part, b"\\u00") for part in parts))
    add("percent-encoding", (_spelled(part, b"%") for part in parts))
    add("hex", (_spelled(part, b"") for part in parts))
    add("hex in groups", (_spelled(part, b"", between) for part in parts for between in b" :"
                          for between in (bytes([between]),)))
    add("base64", _base64(number, size))
    add("packed decimal", _packed(number))
    add("digit values", (bytes(int(digit) for digit in part)
                         for part in _parts(number, PART_PACKED - 2)))
    add("an integer", (int(number).to_bytes(8, end).strip(b"\0") for end in ("little", "big")))
    return found


class Watch:
    """What must not be found, and the search for it."""

    def __init__(self, system):
        self.system = system
        self.needles = {}  # bytes: (whose they are, in which shape)
        self.numbers = {}

    def number(self, whose, number):
        size = PART if len(self.numbers) < FIRST_ONES else PART_OF_MANY
        self.numbers[number] = whose
        for needle, shape in shapes(number, min(size, len(number))).items():
            self.needles.setdefault(needle, (whose, shape))
        return number

    def card(self, whose, length=16):
        """A new number, to be looked for from now on."""
        return self.number(whose, drawn_card(length))

    def text(self, whose, text):
        """Any other text: a name, or a code with what it was sent beside."""
        for what, needle in (("text", text.encode()), ("UTF-16", text.encode("utf-16-le")[:-1])):
            self.needles.setdefault(needle, (whose, what))
        return text

    def body(self, whose, length=16, **more):
        """A card as an application sends it, everything secret about it watched for."""
        card = {"number": self.card(whose, length), "exp_month": 12, "exp_year": 2031,
                "cardholder_name": self.text(whose + "'s holder", drawn_text()), "cvv": "737",
                "purchase": drawn_text(), **more}
        text = json.dumps(card)
        # Three digits are anywhere; with what they were sent beside they are nowhere else.
        self.text(whose + "'s code", f'"737", "purchase": "{card["purchase"]}')
        return text.encode()

    def body_without_code(self, whose):
        """For as many as one likes: the vault holds codes for a while, and only so many."""
        card = json.loads(self.body(whose))
        del card["cvv"], card["purchase"]
        return json.dumps(card).encode()

    def processes(self):
        """{pid: name} of what may be looked into, both daemons' supervisors among them."""
        if not may_look():
            return {}
        return {pid: f"{daemon}'s {name}" for daemon in ("vault", "relay")
                if daemon in self.system.running
                for pid, name in self.system.family(daemon).items()}

    def files(self):
        """{path: what it is}: the system's own, and what a process still has open."""
        found = {os.path.join(folder, name): "a file" for folder, _, names
                 in os.walk(self.system.folder) for name in names}
        for pid, name in self.processes().items():
            for one in ("cmdline", "comm", "environ"):
                found[f"/proc/{pid}/{one}"] = f"the {name}'s {one}"
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{descriptor}"
                try:
                    kind = os.stat(path).st_mode
                    target = os.readlink(path)
                except OSError:
                    continue  # Closed meanwhile.
                if stat.S_ISREG(kind) and target not in found:
                    found[path] = f"the {name}'s open {target}"
        return found

    def search(self):
        """Sentences, one for each place and shape."""
        places = [("process", pid, f"the {name}") for pid, name in self.processes().items()]
        places += [("file", path, f"{what} {path}") for path, what in self.files().items()]
        needles = list(self.needles)
        orders = [f"pattern {needle.hex()}" for needle in needles]
        orders += [f"{kind} {what}" for kind, what, _ in places]
        done = subprocess.run([os.path.join(self.system.build, "memory_scan")],
                              input="\n".join(orders) + "\n", capture_output=True, text=True,
                              errors="replace", timeout=300, check=False)
        check(done.returncode == 0, f"the search: {done.stderr}")
        found, read = {}, {}
        for line in done.stdout.splitlines():
            words = line.split(" ", 4)
            if words[0] == "read":
                read[int(words[1])] = int(words[2])
                continue
            whose, shape = self.needles[needles[int(words[2])]]
            key = (places[int(words[1])][2], words[4], whose, shape)
            found.setdefault(key, []).append(words[3])
        for index, (kind, _, name) in enumerate(places):
            check(kind != "process" or read[index] > LEAST_READ,
                  f"of {name} {read[index]} bytes were read")
        return [f"{place}, {region}: {whose}, as {shape}, {len(at)} times from {at[0]} on"
                for (place, region, whose, shape), at in sorted(found.items())]

    def names(self):
        """Files that are called like a card."""
        return [path for path in self.files() for number in self.numbers if number in path]

    def clean(self, patience_s=SETTLED_S):
        """Nothing is left of anything watched for, once what was under way is over."""
        left = []
        if not may_look():
            closed(self.system)

        def none():
            left[:] = self.search() + self.names()
            return not left
        try:
            wait_until(none, "nothing of a card is left", patience_s)
        except AssertionError as failure:
            # Else it is the search that failed.
            raise AssertionError("left of cards:\n" + "\n".join(left)) if left else failure


def may_look():
    """Root may read every process.  Anybody else, the user that they run as among them, must not be
    able to, and that is what is tested then: closed()."""
    return os.geteuid() == 0


def closed(system):
    """No process that sees a card lets its own user read its memory."""
    for daemon in system.running.keys() - {"sandbox"}:
        for pid, name in system.family(daemon).items():
            if pid == system.running[daemon].pid:
                continue  # The supervisor has nothing to hide.
            try:
                with open(f"/proc/{pid}/mem", "rb"):
                    check(False, f"who is not root can read the {daemon}'s {name}")
            except PermissionError:
                pass
