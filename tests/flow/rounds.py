# SPDX-License-Identifier: Apache-2.0
"""How often a test repeats itself: a short form in `tests/run`, a long one in `tests/run soak`.

A file that counts its rounds with this says `SOAK = True`, which puts it into a soak that names no
file.
"""
import os
import re
import time

_length = None  # None: the short form; "1000": so many rounds; "600s": for so long.


def lengthen(length):
    """Makes every count of this run the long one: a number of rounds, or of seconds with an s."""
    global _length  # pylint: disable=global-statement
    if not re.fullmatch(r"[1-9][0-9]*s?", length):
        raise ValueError(f"{length}: a number of rounds, or of seconds as in 600s")
    _length = length


def rounds(short):
    """0, 1, 2, …: `short` of them, or as many as a soak was asked for."""
    if _length is not None and _length.endswith("s"):
        end = time.monotonic() + int(_length[:-1])
        count = 0
        while time.monotonic() < end:
            yield count
            count += 1
    else:
        yield from range(short if _length is None else int(_length))


def many(short, long):
    """How much there is of something: more where a soak was asked for."""
    return short if _length is None else long


def seconds(short):
    """How long something that lasts is to last: `short`, or as long as a soak was asked for."""
    return float(_length[:-1]) if _length is not None and _length.endswith("s") else short


def seed():
    """What a test that draws lots draws them from: CARDKEEP_SEED, or something new each time.  The
    test names it where it fails, so that it can be drawn again."""
    return int(os.environ.get("CARDKEEP_SEED") or int.from_bytes(os.urandom(4), "big"))
