# SPDX-License-Identifier: Apache-2.0
"""Any process dies at any instant under load; all that was promised holds, and the books agree."""
import os
import random
import signal
import threading
import time

from crash_checks import Books
from crash_load import Load, Promises
from harness import check, wait_until
from rounds import rounds, seed

SOAK = True
ROUNDS = 60

# Who dies: of which daemon, and which of its processes; None is the supervisor.
PARTS = [("vault", "front"), ("vault", "keeper"), ("vault", "signer"), ("vault", None),
         ("vault", "all"), ("relay", "relay"), ("relay", "signer"), ("relay", None)]
SATELLITES = {("vault", "front"), ("vault", "signer"), ("relay", "signer")}


def _kill(system, daemon, part):
    """Kills, starts again what nobody else does, and waits until all is ready."""
    before = dict(system.family(daemon))
    if part is None:
        system.kill(daemon)
    elif part == "all":
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        system.kill(daemon)
    else:
        system.kill_part(daemon, part)
    return before


def _come_back(system, daemon, part, before):
    if part in (None, "all"):
        system.start(daemon)
    names = [part] if (daemon, part) in SATELLITES else [
        name for pid, name in before.items() if pid != system.running[daemon].pid and
        name != daemon or name == part]
    for name in names:
        wait_until(lambda name=name: system.part(daemon, name) not in (None, *before),
                   f"a new {name} of the {daemon}")
    for one in ("vault", "relay"):
        wait_until(lambda one=one: system.is_ready(one), f"the {one} is ready by itself")


def _round(system, books, dice, number, daemon, part):
    promises = books.promises
    load = Load(system, promises, f"{books.seed}/{number}", books.keeper)
    try:
        enough = promises.acknowledged + dice.randint(5, 40)
        wait_until(lambda: promises.acknowledged >= enough or load.failures, "work is done")
        threading.Event().wait(dice.uniform(0, 0.03))  # So that it hits anything.
        before = _kill(system, daemon, part)
        threading.Event().wait(dice.uniform(0, 0.1))  # And what goes on meanwhile.
    finally:
        load.end()
    _come_back(system, daemon, part, before)
    if daemon == "vault" and part not in ("front", "signer"):
        books.keeper += 1
    books.check()


def what_was_promised_holds_whichever_process_dies_and_when(system):
    books = Books(system, seed())
    dice = random.Random(books.seed)
    began = time.monotonic()
    count = 0
    turn = []
    for number in rounds(ROUNDS):
        turn = turn or dice.sample(PARTS, len(PARTS))
        daemon, part = turn.pop()
        try:
            _round(system, books, dice, number, daemon, part)
        except Exception as failure:
            raise AssertionError(f"round {number}, seed {books.seed}, the {daemon}'s "
                                 f"{part or 'supervisor'} died: {failure}") from failure
        count += 1
    books.check_all()
    check(books.promises.lost > 0, "the load felt it")
    print(f"    {count} rounds in {time.monotonic() - began:.0f} s, seed {books.seed}: {books}",
          flush=True)
