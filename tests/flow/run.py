#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the flow tests: `run.py [--build FOLDER] [--lanes N] [--soak LENGTH] [WORD…]`, a word
picking files that have it in their name; LENGTH as in rounds.py.

Each file has a system of its own; each function of it that takes one is a test, and its name is
what it holds to be true.  A file ends with the test that its system stops in order, that both its
logs are whole, and that nothing it wrote holds a card.

In several lanes as many files run at a time, except those that measure (`ALONE`) and the last one,
which looks at what the others did.
"""
import argparse
import concurrent.futures
import importlib.util
import inspect
import multiprocessing
import os
import queue
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402  pylint: disable=wrong-import-position
import ports  # noqa: E402  pylint: disable=wrong-import-position
import rounds  # noqa: E402  pylint: disable=wrong-import-position

HERE = os.path.dirname(os.path.abspath(__file__))


def load(name):
    spec = importlib.util.spec_from_file_location("flow_" + name[:-3], os.path.join(HERE, name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tests_of(module):
    """Its functions that take a system, in the order of the file."""
    found = [one for one in vars(module).values()
             if inspect.isfunction(one) and one.__module__ == module.__name__ and
             not one.__name__.startswith("_") and one.__name__ != "prepare" and
             list(inspect.signature(one).parameters) == ["system"]]
    return sorted(found, key=lambda one: one.__code__.co_firstlineno)


def run_test(name, sentence, work):
    """Prints one line; True when it held."""
    began = time.monotonic()
    try:
        work()
        verdict, trouble = "ok", ""
    except Exception:  # pylint: disable=broad-except
        verdict, trouble = "FAILED", traceback.format_exc()
    line = f"{verdict} {time.monotonic() - began:5.1f} s  {name}: {sentence}\n"
    if trouble:
        line += "    " + trouble.replace("\n", "\n    ").rstrip() + "\n"
    sys.stdout.write(line)  # In one piece, as other lanes write, too.
    sys.stdout.flush()
    return verdict == "ok"


def finish(system):
    for daemon in ("vault", "relay"):
        system.verified(daemon)
    for name in list(system.running):
        system.stop(name)
    for daemon in ("vault", "relay"):
        done = system.verify_store(daemon)
        harness.equal(done.returncode, 0, f"audit verify of the {daemon}: {done.stderr}")
        done = system.cardkeep("audit", "tail", "--count", "1", "--store",
                               system.path("data", daemon), config=False)
        harness.check("audit.stop" in done.stdout, f"the last entry of the {daemon}: {done.stdout}")
    harness.equal(system.cards_on_disk(), [], "files that hold a card")


def run_file(name, build):
    """(passed, failed) of one file."""
    module = load(name)
    results = []
    if getattr(module, "NO_SYSTEM", False):
        for one in tests_of(module):
            results.append(run_test(name, one.__name__.replace("_", " "), lambda: one(None)))
        return results
    with harness.System(build) as system:
        def start():
            getattr(module, "prepare", lambda _: None)(system)
            system.start()
        if not run_test(name, "the system starts", start):
            for daemon in system.running:
                print(f"    {daemon}: {system.log(daemon)[-1000:]}")
            return [False]
        for one in tests_of(module):
            results.append(run_test(name, one.__name__.replace("_", " "), lambda: one(system)))
        results.append(run_test(name, "it stops in order, its logs are whole, no file has a card",
                                lambda: finish(system)))
    return results + [True]


def run_apart(name, build, lane):
    """The same in a process of its own: what it found, and what it said and heard."""
    ports.use_lane(lane)
    harness.exchanges.clear()
    return run_file(name, build), harness.exchanges


def run_lanes(names, build, count):
    """Each lane takes the next file; ports are apart by lane."""
    free = queue.SimpleQueue()
    for lane in range(count):
        free.put(lane)

    def run(name):
        lane = free.get()
        try:
            # A process for each file: they change the modules that they share.
            with concurrent.futures.ProcessPoolExecutor(
                    1, multiprocessing.get_context("spawn")) as own:
                return own.submit(run_apart, name, build, lane).result()
        except Exception as failure:  # pylint: disable=broad-except
            print(f"FAILED 0.0 s  {name}: its process ends in order: {failure!r}", flush=True)
            return [False], []
        finally:
            free.put(lane)
    results = []
    with concurrent.futures.ThreadPoolExecutor(count) as lanes:
        for found, heard in lanes.map(run, names):
            results += found
            harness.exchanges.extend(heard)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(harness.ROOT, "build"))
    parser.add_argument("--lanes", type=int, default=1, help="files at a time; one in a soak")
    parser.add_argument("--soak", metavar="LENGTH")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    names = sorted(name for name in os.listdir(HERE) if name[:2].isdigit() and
                   name.endswith(".py"))
    picked = [name for name in names
              if not arguments.words or any(word in name for word in arguments.words)]
    if arguments.soak is not None:
        rounds.lengthen(arguments.soak)
        picked = [name for name in picked if getattr(load(name), "SOAK", False)]
    # What compares all that was seen with all that is described needs all of it.
    if any(name.startswith("60_") for name in picked):
        picked = names
    # It looks at what the others did, so it comes last.
    picked.sort(key=lambda name: (name.startswith("60_"), name))
    many = arguments.lanes > 1 and arguments.soak is None
    beside = [name for name in picked if many and not name.startswith("60_") and
              not getattr(load(name), "ALONE", False)]
    results = run_lanes(beside, arguments.build, arguments.lanes) if beside else []
    for name in picked:
        if name not in beside:
            results += run_file(name, arguments.build)
    if not results:
        print("no file of tests has that in its name")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
