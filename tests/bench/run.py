#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures side by side in one run: Cardkeep and what it is held against take turns.

    run.py [--build FOLDER] [--folder FOLDER] [--quick] [--json] [--rounds N] [ROW-WORD…]
"""
import argparse
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
import growth  # pylint: disable=wrong-import-position
import measure  # pylint: disable=wrong-import-position
import proc  # pylint: disable=wrong-import-position
import rivals  # pylint: disable=wrong-import-position
import rotation  # pylint: disable=wrong-import-position
import rows  # pylint: disable=wrong-import-position
from progress import Progress  # pylint: disable=wrong-import-position
from rivals import harness  # pylint: disable=wrong-import-position

SIZES = (100_000, 1_000_000, 10_000_000)
ROTATED = (10_000, 1_000_000)
ROTATED_QUICK = (10_000, 100_000)


def arguments_read():
    parser = argparse.ArgumentParser(
        prog="tests/run bench",
        description="Measures Cardkeep beside PostgreSQL, nginx, sha256sum and this disk, in "
                    "turns of one run. An aim that is not met is said, and is no failure; a figure "
                    "that cannot be taken is one.")
    parser.add_argument("--build", default=os.path.join(harness.ROOT, "build"),
                        help=argparse.SUPPRESS)
    parser.add_argument("--folder", default=tempfile.gettempdir(),
                        help="where the stores go: the disk that is measured")
    parser.add_argument("--quick", action="store_true",
                        help="about three minutes; the store grows to 10^6 only")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("words", nargs="*", metavar="ROW-WORD",
                        help="only rows that begin so, or are beside such a rival: tokenize, "
                             "lease, batch, relay, restart, verify, rotation, growth, nginx, "
                             "PostgreSQL, …")
    return parser.parse_args()


def take(name, how, troubles, progress):
    """One sample, or None and a line in `troubles`."""
    progress.step(name)
    try:
        return how()
    except rivals.Missing as why:
        troubles[name] = str(why)
    except Exception as why:  # pylint: disable=broad-except
        troubles[name] = f"{type(why).__name__}: {' '.join(str(why).split())[:900]}"
    return None


def measure_all(bench, needed, count, apart, progress):
    """(rounds, what was taken once, troubles)"""
    troubles = {}
    rounds = []
    for number in range(count):
        taken = {}
        for name, how in measure.samples(bench).items():
            if name in needed and name not in troubles:
                label = f"round {number + 1} of {count}: {name}"
                taken[name] = take(label, how, troubles, progress)
                if label in troubles:
                    troubles[name] = troubles.pop(label)
        rounds.append(taken)

    def alone(work):
        def taken():
            with measure.Bench(bench.build, bench.seconds, progress) as other:
                return work(other)
        return taken
    once = {}
    others = {name: alone(work) for name, work in apart.items()}
    for name, how in measure.samples_once(bench, others).items():
        if name in needed:
            once[name] = take(name, how, troubles, progress)
    return rounds, once, troubles


def main():
    arguments = arguments_read()
    if proc.file_system(arguments.folder) in ("tmpfs", "ramfs"):
        sys.exit(f"{arguments.folder} is in memory; --folder names one on a disk")
    tempfile.tempdir = arguments.folder
    sizes = SIZES[:2] if arguments.quick else SIZES
    cards = ROTATED_QUICK if arguments.quick else ROTATED
    picked = [row for row in rows.rows(arguments.quick, sizes, cards)
              if not arguments.words or any(row.name.startswith(word) or word in row.rival
                                            for word in arguments.words)]
    if not picked:
        sys.exit("no row has that word")
    needed = {name for row in picked for name in row.needs}
    apart = {"rotation": lambda bench: rotation.rotate(bench, cards),
             "growth": lambda bench: growth.grow(bench, sizes)}
    progress = Progress()
    # What was started here ends here, also where somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with measure.Bench(os.path.abspath(arguments.build), 1 if arguments.quick else 5,
                       progress) as bench:
        rounds, once, troubles = measure_all(bench, needed, arguments.rounds, apart, progress)
    progress.clear()
    results = [rows.evaluate(row, rounds, once, troubles) for row in picked]
    if not arguments.json:
        print(rows.HEAD)
    for result in results:
        print(rows.as_json(result) if arguments.json else rows.as_text(result))
    sys.exit(1 if any(result.trouble for result in results) else 0)


if __name__ == "__main__":
    main()
