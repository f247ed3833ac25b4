# SPDX-License-Identifier: Apache-2.0
"""What is printed: each figure, what stands beside it, and whether the aim is met."""
import json
import math
import statistics
from typing import Callable, NamedTuple, Optional

from measure import cpu_of


class Row(NamedTuple):
    """A figure of ours, and a rival's; each a function of the samples of one round."""
    name: str
    unit: str
    needs: tuple
    value: Callable
    rival: str = ""
    rival_value: Optional[Callable] = None
    least: Optional[float] = None  # The aim: of the ratio where there is a rival, else of ours.
    most: Optional[float] = None
    of_value: bool = False  # The aim is of our figure, though there is a rival.


class Result(NamedTuple):
    row: Row
    values: list
    rival_values: list
    trouble: str = ""

    @property
    def ratios(self):
        return [ours / theirs if theirs else math.inf
                for ours, theirs in zip(self.values, self.rival_values)]

    @property
    def judged(self):
        row = self.row
        return self.values if row.of_value or row.rival_value is None else self.ratios

    @property
    def met(self):
        """None where there is no aim, or no figure."""
        row = self.row
        if self.trouble or (row.least is None and row.most is None):
            return None
        figure = statistics.median(self.judged)
        return figure >= row.least if row.least is not None else figure <= row.most

    @property
    def aim(self):
        row = self.row
        if row.least is None and row.most is None:
            return ""
        sign, figure = ("≥", row.least) if row.least is not None else ("≤", row.most)
        return f"{sign} {figure:g} {'×' if self.judged is not self.values else row.unit}"


def rate(name):
    return lambda s: s[name]["per_second"]


def cards(name):
    return lambda s: s[name]["items_per_second"]


def figure(name, key):
    return lambda s: s[name][key]


def cpu(name, *daemons):
    return lambda s: cpu_of(s[name], *daemons)


def tokenizing(quick):
    for in_flight, clients, least in ((64, 64, 10), (256, 256, 10), (1024, 256, None)):
        yield Row(f"tokenize, {in_flight} in flight", "cards/s",
                  (f"tokenize {in_flight}", f"PostgreSQL {clients}"), rate(f"tokenize {in_flight}"),
                  f"PostgreSQL, {clients} clients", rate(f"PostgreSQL {clients}"), least=least)
    if not quick:
        yield Row("tokenize, 64 in flight", "cards/s", ("tokenize 64", "PostgreSQL aes 64"),
                  rate("tokenize 64"), "PostgreSQL, its cheapest cipher, 64",
                  rate("PostgreSQL aes 64"))
    for in_flight, least in ((64, 0.4), (256, 0.45)):
        yield Row(f"tokenize, {in_flight} in flight", "cards/s",
                  (f"tokenize {in_flight}", f"constant {in_flight}"),
                  rate(f"tokenize {in_flight}"), "a constant through the keeper",
                  rate(f"constant {in_flight}"), least=least)
    for in_flight, clients, most in ((64, 64, 24), (256, 256, 16), (1024, 256, 13)):
        yield Row(f"tokenize, CPU at {in_flight} in flight", "µs",
                  (f"tokenize {in_flight}", f"PostgreSQL {clients}"),
                  cpu(f"tokenize {in_flight}", "vault"), f"PostgreSQL, {clients} clients",
                  figure(f"PostgreSQL {clients}", "cpu_us"), most=most, of_value=True)
        yield Row(f"tokenize, keeper's CPU at {in_flight}", "µs", (f"tokenize {in_flight}",),
                  cpu(f"tokenize {in_flight}", "keeper"), "all of the vault's",
                  cpu(f"tokenize {in_flight}", "vault"))
    yield Row("tokenize, p99 at 64 in flight", "µs", ("tokenize 64", "append"),
              figure("tokenize 64", "p99_us"), "a synced append, p50", figure("append", "p50_us"),
              most=20)
    yield Row("tokenize, p50 at 1 in flight", "µs", ("tokenize 1", "append"),
              figure("tokenize 1", "p50_us"), "a synced append, p50", figure("append", "p50_us"))
    yield Row("disk, a synced append, p99", "µs", ("append",), figure("append", "p99_us"),
              "a synced append, p50", figure("append", "p50_us"))


def leasing():
    for in_flight in (64, 256):
        yield Row(f"lease, {in_flight} in flight", "leases/s",
                  (f"lease {in_flight}", f"tokenize {in_flight}"), rate(f"lease {in_flight}"),
                  "tokenize", rate(f"tokenize {in_flight}"), least=1.0)
        yield Row(f"lease, CPU at {in_flight} in flight", "µs",
                  (f"lease {in_flight}", f"tokenize {in_flight}"),
                  cpu(f"lease {in_flight}", "vault"), "tokenize",
                  cpu(f"tokenize {in_flight}", "vault"))
    yield Row("batch of 100, 4 in flight", "cards/s", ("batch", "tokenize 256"), cards("batch"),
              "one by one, 256 in flight", rate("tokenize 256"), least=2)
    yield Row("batch of 100, CPU a card", "µs", ("batch", "tokenize 256"),
              lambda s: cpu_of(s["batch"], "vault") / 100, "one by one, 256 in flight",
              cpu("tokenize 256", "vault"))


def relaying():
    for protocol, ours, theirs in (("HTTP/2", "relay 64", "nginx 64"),
                                   ("HTTP/1.1", "relay h1", "nginx h1")):
        yield Row(f"relay, CPU, {protocol} in", "µs", (ours, theirs), cpu(ours, "relay"), "nginx",
                  cpu(theirs, "nginx"), most=2.5)
    yield Row("relay and vault, CPU", "µs", ("relay 64", "nginx 64"),
              cpu("relay 64", "relay", "vault"), "nginx", cpu("nginx 64", "nginx"))
    yield Row("relay, 64 in flight", "payments/s", ("relay 64", "nginx 64"), rate("relay 64"),
              "nginx", rate("nginx 64"))
    yield Row("nginx, 64 in flight", "payments/s", ("nginx 64", "gateway 64"), rate("nginx 64"),
              "the gateway alone", rate("gateway 64"))
    yield Row("relay, added p50, 1 in flight", "µs", ("relay 1", "gateway 1", "append"),
              lambda s: s["relay 1"]["p50_us"] - s["gateway 1"]["p50_us"], "a synced append, p50",
              figure("append", "p50_us"), most=12)
    yield Row("relay, added p50, 1 in flight", "µs", ("relay 1", "nginx 1", "gateway 1"),
              lambda s: s["relay 1"]["p50_us"] - s["gateway 1"]["p50_us"], "nginx, added p50",
              lambda s: s["nginx 1"]["p50_us"] - s["gateway 1"]["p50_us"])


def once():
    yield Row("restart after kill -9 under load", "s", ("restart",), figure("restart", "seconds"),
              most=2)
    yield Row("verify, the audit log", "MB/s", ("verify",), figure("verify", "ours"),
              "sha256sum", figure("verify", "theirs"), least=0.3)


def rotating(cards):
    few, many = (f"10^{round(math.log10(count))}" for count in cards)
    yield Row(f"rotation of KEKs, {many} cards", "ms", ("rotation",),
              figure("rotation", "kek many"), f"{few} cards", figure("rotation", "kek few"),
              most=1.5)
    yield Row("rotation, records moved, alone", "records/s", ("rotation",),
              figure("rotation", "alone"), "while others tokenize", figure("rotation", "moved"))
    yield Row("rotation, tokenize, p99 meanwhile", "µs", ("rotation",),
              figure("rotation", "busy"), "idle", figure("rotation", "idle"), most=1.5)


def grown(sizes):
    """Each size beside the one before it where it shows how it goes on, and the last by the first
    where it must not."""
    def at(size, key, scale=1.0):
        return lambda s: s["growth"][size][key] * scale
    first, last = sizes[0], sizes[-1]
    names = {size: f"10^{round(math.log10(size))}" for size in sizes}
    for size in sizes[1:]:
        for what in ("tokenize", "lease", "show"):
            for key, text in (("cpu", "CPU"), ("p50", "p50")):
                yield Row(f"growth, {what}, {text} at {names[size]}", "µs", ("growth",),
                          at(size, f"{what} {key}"), f"at {names[first]}",
                          at(first, f"{what} {key}"), most=1.5 if size == last else None)
        yield Row(f"growth, batch fill, CPU a card at {names[size]}", "µs", ("growth",),
                  at(size, "fill"), f"at {names[first]}", at(first, "fill"),
                  most=1.5 if size == last else None)
        yield Row(f"growth, slowest answer up to {names[size]}", "s", ("growth",),
                  at(size, "slowest"))
    for before, size in zip(sizes, sizes[1:]):
        # Caches fill up to their bound; from there on nothing may grow.
        yield Row(f"growth, keeper's memory at {names[size]}", "MB", ("growth",),
                  at(size, "memory", 1e-6), f"at {names[before]}", at(before, "memory", 1e-6),
                  most=1.5 if size == last and len(sizes) > 2 else None)
        yield Row(f"growth, disk a card at {names[size]}", "bytes", ("growth",),
                  at(size, "disk", 1 / size), f"at {names[before]}", at(before, "disk", 1 / before))


def rows(quick, sizes, cards):
    return [*tokenizing(quick), *leasing(), *relaying(), *once(), *rotating(cards), *grown(sizes)]


def evaluate(row, rounds, once_taken, troubles):
    """The row over all rounds; what was taken once stands in each, and is counted once."""
    broken = [f"{name}: {troubles[name]}" for name in row.needs if name in troubles]
    if broken:
        return Result(row, [], [], "; ".join(broken))
    if all(name in once_taken for name in row.needs):
        rounds = [once_taken]
    values = [row.value({**one, **once_taken}) for one in rounds]
    theirs = [] if row.rival_value is None else [row.rival_value({**one, **once_taken})
                                                 for one in rounds]
    return Result(row, values, theirs)


# ---- Printing ----

def number(value):
    if math.isinf(value):
        return "∞"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def as_json(result):
    row = result.row
    entry = {"name": row.name, "value": None, "unit": row.unit, "rival": row.rival or None,
             "rival_value": None, "ratio": None, "aim": result.aim or None, "met": result.met}
    if result.trouble:
        entry["trouble"] = result.trouble
    else:
        entry["value"] = statistics.median(result.values)
        if result.rival_values:
            entry["rival_value"] = statistics.median(result.rival_values)
            entry["ratio"] = statistics.median(result.ratios)
            entry["ratios"] = result.ratios
    return json.dumps(entry, ensure_ascii=False)


HEAD = (f"{'':37} {'ours':>16} {'':35} {'its':>8} {'ratio':>18}  aim\n" + "-" * 142)


def as_text(result):
    row = result.row
    if result.trouble:
        return f"{row.name:37} failed: {result.trouble}"
    line = f"{row.name:37} {number(statistics.median(result.values)) + ' ' + row.unit:>16} "
    if result.rival_values:
        ratios = f"{number(statistics.median(result.ratios))} ×"
        if len(result.ratios) > 1:
            ratios += f" ({number(min(result.ratios))}–{number(max(result.ratios))})"
        line += (f"{row.rival:35} {number(statistics.median(result.rival_values)):>8} "
                 f"{ratios:>18}  ")
    else:
        line += f"{'':35} {'':>8} {'':>18}  "
    if result.met is not None:
        line += f"{result.aim}: {'met' if result.met else 'NOT MET'}"
    return line.rstrip()
