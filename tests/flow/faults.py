# SPDX-License-Identifier: Apache-2.0
"""Makes a daemon's system calls fail while a test says so; tests/support/faults.c has the rules."""
import contextlib
import os
import struct

import control
from harness import check, wait_until

BYTES = 8192
HITS_AT = 4096


class Faults(control.Control):
    """What is to fail from now on."""

    def __init__(self, path):
        super().__init__(path, BYTES)

    def hits(self):
        return struct.unpack("=Q", self.memory[HITS_AT:HITS_AT + 8])[0]

    def set(self, *rules):
        """The first byte last: whoever reads meanwhile sees no rule, or all of them."""
        text = "\n".join(rules).encode()
        check(len(text) < HITS_AT, "the rules fit")
        self.memory[0:1] = b"\0"
        self.memory[1:HITS_AT] = text[1:] + b"\0" * (HITS_AT - max(len(text), 1))
        self.memory[0:1] = text[:1] or b"\0"

    def clear(self):
        self.set()

    @contextlib.contextmanager
    def on(self, *rules):
        """Within it calls fail, and one of them must have."""
        before = self.hits()
        self.set(*rules)
        try:
            yield
            wait_until(lambda: self.hits() > before, f"a call fails as told: {rules}")
        finally:
            self.clear()


def install(system):
    """Both daemons start with the library from here on; {daemon: its Faults}."""
    return control.install(system, "faults", Faults, lambda: system.environment or os.environ)
