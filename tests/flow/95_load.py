# SPDX-License-Identifier: Apache-2.0
"""What tests/bench says is so: its load did what it counts, and its rows have figures."""
import base64
import json
import os
import subprocess
import sys
import urllib.parse

from harness import ROOT, check, equal, wait_until

sys.path.insert(0, os.path.join(ROOT, "tests/bench"))
import measure  # pylint: disable=wrong-import-position
import growth  # pylint: disable=wrong-import-position
import rotation  # pylint: disable=wrong-import-position
import rows  # pylint: disable=wrong-import-position

SIZES = (1000, 2000)
ROTATED = (1000, 10000)


class Silent:
    """The bench's signs of life, for nobody."""

    def step(self, text):
        pass

    def tick(self):
        pass

    def wait(self, process, patience_s):
        return process.communicate(timeout=patience_s)


class Rivals:
    """Stands in for PostgreSQL and nginx: tests install no rivals."""

    def keep(self, *_):
        return {"per_second": 1000.0, "mean_us": 1000.0, "cpu_us": 500.0}

    def close(self):
        pass


def _of(system):
    bench = measure.Bench(system.build, 1, Silent())
    bench.system = system
    return bench


def _load(system, kind, *options, target="vault", who="shop", code=0, http1=False):
    command = _of(system).command(system.ports[target], who, kind, "--in-flight", "8",
                                  *options, http1=http1)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    equal(done.returncode, code, f"exit code of {kind}: {done.stdout}{done.stderr}")
    said = json.loads(done.stdout)
    equal(said["errors"] != {}, code == 1, f"errors of {kind}: {said}")
    return said


def _tokens(system):
    path = system.path("tokens")
    if not os.path.exists(path):
        _load(system, "batch", "--batch", "20", "--count", "10", "--tokens-out", path)
    return path


def _events(system, start, event):
    return [one for one in system.audit(start=start)
            if one["event"] == event and one["outcome"] == "ok"]


def each_card_that_it_counts_is_kept(system):
    start = system.audit_size()
    path = system.path("made")
    said = _load(system, "tokenize", "--count", "200", "--tokens-out", path)
    with open(path, encoding="ascii") as file:
        tokens = file.read().split()
    equal((said["requests"], said["items"]), (200, 200), f"what was asked for: {said}")
    equal(len(tokens), said["answers"], "tokens in the file, of warm-up and drain too")
    equal(sorted(one["object"] for one in _events(system, start, "card.tokenize")),
          sorted(tokens), "tokens in the vault's log")
    check(0 < said["p50_us"] <= said["p99_us"] <= said["max_us"], f"percentiles: {said}")
    check(said["max_us"] <= said["seconds"] * 1e6 + 1e6, f"no answer took longer: {said}")


def leases_and_payments_that_it_counts_are_in_the_logs(system):
    start = system.audit_size()
    said = _load(system, "lease", "--count", "20", "--batch", "5", "--tokens", _tokens(system),
                 who="relay")
    equal(said["items"], 100, f"leases: {said}")
    equal(len(_events(system, start, "card.lease")), 5 * said["answers"], "leases in the log")
    start = system.audit_size()
    said = _load(system, "settle", "--count", "20", "--tokens", _tokens(system), who="relay")
    found = [len(_events(system, start, event)) for event in ("card.lease", "card.settle")]
    equal(sum(found), said["answers"], "leases and settlements in the log")
    check(0 <= found[0] - found[1] <= 8, f"in turn, but for those under way: {found}")
    start = system.audit_size()
    for http1 in (False, True):
        said = _load(system, "pay", "--count", "20", "--tokens", _tokens(system), target="relay",
                     http1=http1)
        wait_until(lambda: len(_events(system, start, "card.settle")) == said["answers"],
                   "each payment has its lease settled")
        equal(len(_events(system, start, "card.lease")), said["answers"], "a lease a payment")
        start = system.audit_size()
    said = _load(system, "show", "--count", "20", "--tokens", _tokens(system))
    equal(len(_events(system, start, "card.mask_read")), said["answers"], "views in the log")


def every_card_is_a_new_one(system):
    system.forget_received()
    _load(system, "pay", "--count", "200", "--cards", "--path", "/v1/payment_intents",
          target="sandbox")
    bodies = [base64.b64decode(one["body_base64"]).decode() for one in system.received()]
    numbers = [dict(urllib.parse.parse_qsl(body))["payment_method_data[card][number]"]
               for body in bodies]
    check(len(numbers) >= 200, f"{len(numbers)} cards at the gateway")
    equal(len(set(numbers)), len(numbers), "cards that differ")
    for number in numbers:
        digits = [int(digit) for digit in reversed(number)]
        total = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        check(len(number) == 16 and number.startswith("9999") and total % 10 == 0,
              "of the range that nobody has, with a right check digit")


def an_answer_that_was_not_expected_is_an_error(system):
    said = _load(system, "tokenize", "--count", "20", who="auditor", code=1)
    equal(said["errors"], {"403": said["answers"]}, "errors by status")
    equal(said["refusal"], "denied", "what the vault calls it")
    _load(system, "tokenize", "--count", "20", "--expect", "403", who="auditor")
    with open(system.path("none"), "w", encoding="ascii") as file:
        file.write("tok_test_0000000000000000000000none\n")
    said = _load(system, "lease", "--count", "20", "--tokens", system.path("none"), who="relay",
                 code=1)
    equal(said["errors"], {"refused_items": said["answers"]}, "leases refused in their place")
    equal(said["refusal"], "not_found", "what the vault calls that")
    try:
        found = _of(system).load("vault", "tokenize", "--count", "20", who="auditor")
    except measure.Trouble:
        found = None
    equal(found, None, "a sample with errors in it")


def every_row_of_the_bench_has_its_figures(system):
    """All samples that need no rival, taken quickly."""
    with measure.Bench(system.build, 0.05, Silent()) as bench:
        bench.postgres = Rivals()
        taken = {name: how() for name, how in measure.samples(bench).items()
                 if "nginx" not in name}
        for name in ("nginx 64", "nginx h1", "nginx 1"):
            taken[name] = taken["gateway 1"]
            taken[name]["cpu_us_by"]["nginx"] = 10.0
        once = {"restart": bench.restart(), "verify": bench.verify(),
                "growth": growth.grow(bench, SIZES), "rotation": rotation.rotate(bench, ROTATED)}
    results = [rows.evaluate(row, [taken, taken], once, {})
               for row in rows.rows(False, SIZES, ROTATED)]
    check(len(results) > 30, f"{len(results)} rows")
    for result in results:
        entry = json.loads(rows.as_json(result))
        check(entry["value"] is not None and entry["value"] >= 0, f"{entry}")
        check(rows.as_text(result).startswith(entry["name"]), f"{entry}")
    figures = {result.row.name: result for result in results}
    equal(figures["tokenize, CPU at 64 in flight"].values[0],
          taken["tokenize 64"]["cpu_us_by"]["vault"], "the vault's processes alone")
    check(figures["tokenize, CPU at 64 in flight"].values[0] > 1, "they did work")
    check(once["verify"]["entries"] > 1000, f"entries verified: {once['verify']}")


def an_aim_is_judged_by_the_median_and_trouble_gives_no_figure(system):
    del system  # It has what to be measured; this has what was.
    row = rows.Row("a row", "µs", ("one",), lambda s: s["one"], "its rival", lambda s: s["two"],
                   least=2)
    def judged(*ours, trouble=None, **aim):
        return rows.evaluate(row._replace(**aim), [{"one": value, "two": 10} for value in ours],
                             {}, trouble or {})
    equal(judged(10, 21, 100).met, True, "2.1 in the middle")
    equal(judged(10, 19, 100).met, False, "1.9 in the middle")
    equal(judged(19, least=None, most=2).met, True, "at most")
    equal(judged(19, least=None, most=18, of_value=True).met, False, "of the figure itself")
    equal(judged(19, least=None).met, None, "no aim")
    broken = json.loads(rows.as_json(judged(19, trouble={"one": "it broke"})))
    equal((broken["value"], broken["met"], broken["trouble"]), (None, None, "one: it broke"),
          "trouble")
