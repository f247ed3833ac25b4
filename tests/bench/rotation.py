# SPDX-License-Identifier: Apache-2.0
"""Rotation beside no rotation: a KEK's with few cards and with many, and what a job that moves
every card does to those who tokenize meanwhile."""
import statistics
import time

from rivals import harness

TIMES = 15      # A KEK is rotated so often; the median counts.
TURNS = 3       # Idle and with a job, in turn.
IN_FLIGHT = 16
PATIENCE_S = 3600


def _ask(system, method, path, body=None):
    """As the security engineer; a connection that was idle for long may have been ended."""
    answer = system.vault("security").request(method, path, body)
    harness.check(answer.status in (200, 202), f"{path}: {answer!r}")
    return answer.json


def _fill(bench, have, want):
    bench.load("vault", "batch", "--batch", "100", "--in-flight", "8", "--connections", "1",
               "--warm-up", "0", "--count", str((want - have) // 100))
    bench.rest(1)


def _kek_ms(system):
    took = []
    for _ in range(TIMES):
        _ask(system, "GET", "/v1/jobs")  # The connection is there.
        began = time.perf_counter()
        _ask(system, "POST", "/v1/rotations", {"what": "kek"})
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _begin(system):
    return _ask(system, "POST", "/v1/rotations", {"what": "dek", "tenant": "demo"})["job"]


def _alone(bench, system):
    """Records a second of a job that nobody disturbs."""
    began = time.perf_counter()
    job = _begin(system)

    def ended():
        bench.progress.tick()
        found = _ask(system, "GET", f"/v1/jobs/{job}")
        return found if found["state"] == "done" else None
    found = harness.wait_until(ended, "the job ends", PATIENCE_S)
    return found["moved"] / (time.perf_counter() - began)


def _tokenize(bench):
    said = bench.load("vault", "tokenize", *bench.spread(IN_FLIGHT), to_rest=False)
    return said["p99_us"]


def _both(bench, system):
    """p99 of those who tokenize, idle and with a job; and what the job moves meanwhile."""
    idle, busy, moved = [], [], []
    for _ in range(TURNS):
        idle.append(_tokenize(bench))
        job = _begin(system)
        before, began = _ask(system, "GET", f"/v1/jobs/{job}"), time.perf_counter()
        busy.append(_tokenize(bench))
        after = _ask(system, "GET", f"/v1/jobs/{job}")
        moved.append((after["moved"] - before["moved"]) / (time.perf_counter() - began))
        harness.check(after["state"] == "running", "the job has cards left for all of the time")
        _ask(system, "POST", f"/v1/jobs/{job}/pause")
    ratio = statistics.median(two / one for one, two in zip(idle, busy))
    return {"idle": statistics.median(idle), "busy": statistics.median(idle) * ratio,
            "moved": statistics.median(moved)}


def rotate(bench, sizes):
    """{what: figure}, in a system of its own; `sizes` are few cards and many."""
    system = bench.ours()
    found, have = {}, 0
    for name, size in zip(("few", "many"), sizes):
        bench.progress.step(f"rotation: filling up to {size:,} cards")
        _fill(bench, have, size)
        have = size
        found[f"kek {name}"] = _kek_ms(system)
    bench.progress.step("rotation: every card, alone")
    found["alone"] = _alone(bench, system)
    bench.rest(1)
    bench.progress.step("rotation: every card, while others tokenize")
    return {**found, **_both(bench, system)}
