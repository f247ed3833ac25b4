# SPDX-License-Identifier: Apache-2.0
"""Lets a part of a daemon make a call that is not its own; tests/support/astray.c does it."""
import errno
import os
import struct

import control
from harness import check, wait_until

BYTES = 4096
STATE_AT = 2048
GIVEN, TAKEN, DONE = 1, 2, 3


class Astray(control.Control):
    def __init__(self, path):
        super().__init__(path, BYTES)

    def state(self):
        return struct.unpack("=ii", self.memory[STATE_AT:STATE_AT + 8])

    def order(self, part, call, path):
        """Given, and taken by the part when it next wakes."""
        text = f"{part} {call} {path}".encode() + b"\0"
        self.memory[STATE_AT:STATE_AT + 8] = b"\0" * 8
        self.memory[0:len(text)] = text
        self.memory[STATE_AT:STATE_AT + 4] = struct.pack("=i", GIVEN)


def install(system, **more):
    """Both daemons start with the library from here on, and with more in their environment;
    {daemon: its Astray}."""
    return control.install(system, "astray", Astray, lambda: {**os.environ, **more})


def call(system, orders, daemon, part, what, path="-"):
    """What came of it: the name of an error, "ok", or "SIGSYS" where it was the part's end."""
    order = orders[daemon]
    pid = system.part(daemon, part)
    check(pid is not None, f"the {daemon} has a {part}")
    seen = len(system.log(daemon))
    order.order(part, what, path)

    def over():
        if order.state()[0] == DONE:
            return "done"
        if part == "signer" and order.state()[0] == GIVEN:
            system.audit_size(daemon)  # Which is an entry, and so a leaf to sign.
        return "died" if order.state()[0] == TAKEN and system.part(daemon, part) != pid else None
    if wait_until(over, f"the {daemon}'s {part} makes the call {what}") == "done":
        code = order.state()[1]
        return "ok" if code == 0 else errno.errorcode[code]
    said = wait_until(lambda: [line for line in system.log(daemon)[seen:].splitlines()
                               if "process_ended" in line and f'"process":"{part}"' in line],
                      f"the {daemon} says that its {part} ended")
    return "SIGSYS" if '"how":"SIGSYS"' in said[0] else said[0]
