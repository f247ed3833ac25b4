# SPDX-License-Identifier: Apache-2.0
"""Switches single calls that wipe memory off, in running processes, to prove that a search finds
what they would have wiped.

The programs are the ones that are shipped: a library preloaded into them (tests/support/unwiped.c)
takes the place of the functions that wipe, and knows its callers by their addresses.  Which address
is which line is read from the programs' own debug information.
"""
import os
import re
import struct
import subprocess

from harness import check, equal

PROGRAMS = ("cardkeep-vault", "cardkeep-relay")
WIPERS = r"call +[0-9a-f]+ <(sodium_memzero|explicit_bzero|__explicit_bzero_chk)@plt>"
ORDERS_MAX = 500


def calls(path):
    """{where a call that wipes returns to: ["file:function", …] that it stands in}, innermost
    first, for what the compiler made one function of many."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True,
                          text=True, timeout=120, check=True).stdout
    lines = text.splitlines()
    returns = [int(lines[index + 1].split(":")[0], 16) for index, line in enumerate(lines)
               if re.search(WIPERS, line)]
    done = subprocess.run(["addr2line", "-e", path, "-a", "-f", "-i"],
                          input="\n".join(hex(one - 1) for one in returns), capture_output=True,
                          text=True, timeout=120, check=True)
    found, current = {}, None
    lines = iter(done.stdout.splitlines())
    for line in lines:
        if re.fullmatch(r"0x[0-9a-f]+", line):
            current = found.setdefault(int(line, 16) + 1, [])
            continue
        # However the build was told of the tree, our sources begin with one of its folders.
        source = re.search(r"((?:base|keys|policies|relay|vault)/[\w/]+\.c):", next(lines))
        current.append(f"{source.group(1) if source else '?'}:{line}")
    return found


class Unwiped:
    """For a system that is not started yet."""

    def __init__(self, system):
        self.folder = system.path("unwiped")
        self.calls = {program: calls(os.path.join(system.build, program)) for program in PROGRAMS}
        os.makedirs(self.folder)
        os.chmod(self.folder, 0o755)
        self.switch_on()
        library = os.path.join(system.build, "libunwiped.so")
        check(os.path.exists(library), "the library is built")
        system.environment = {**os.environ, "LD_PRELOAD": library, "UNWIPED": self.folder}

    def _write(self, program, libssl, returns):
        check(len(returns) <= ORDERS_MAX, "room for all")
        data = struct.pack(f"<QQ{ORDERS_MAX}Q", libssl, len(returns), *returns,
                           *[0] * (ORDERS_MAX - len(returns)))
        path = os.path.join(self.folder, program)
        with open(path, "r+b" if os.path.exists(path) else "wb") as file:
            file.write(data)

    def switch_on(self):
        """All of them wipe again."""
        for program in PROGRAMS:
            self._write(program, 0, [])

    def switch_off(self, *names):
        """By `file:function`, or libssl; each must be a call somewhere."""
        for program in PROGRAMS:
            self._write(program, int("libssl" in names),
                        [at for at, stack in self.calls[program].items()
                         if set(stack) & set(names)])
        known = {one for found in self.calls.values() for stack in found.values() for one in stack}
        equal(set(names) - known - {"libssl"}, set(), "calls that are not there")
