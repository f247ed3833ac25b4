# SPDX-License-Identifier: Apache-2.0
"""The store from small to large: what an operation costs, and what is held, at each size."""
import measure
import proc

CHUNK = 500_000  # Cards between two signs of life.
KEPT = 20_000    # Tokens, over all of the store, that are leased.


def fill(bench, have, want, tokens):
    """CPU time a card of the last chunk, compaction and all; and the slowest answer, for a store
    that is written faster than it compacts makes its writers wait."""
    pids = list(bench.ours().family("vault"))
    slowest_us = 0
    while have < want:
        count = min(CHUNK, want - have)
        before = proc.cpu_us(pids)
        bench.progress.step(f"growth: filling, {have + count:,} of {want:,} cards")
        part = bench.ours().path("tokens-of-chunk")
        said = bench.load("vault", "batch", "--batch", "100", "--in-flight", "8", "--connections",
                          "1", "--warm-up", "0", "--count", str(count // 100), "--tokens-out",
                          part, "--keep-every", str(max(1, want // KEPT)), to_rest=False)
        with open(part, "rb") as source, open(tokens, "ab") as target:
            target.write(source.read())
        have += count
        last = (said["items"], before)
        slowest_us = max(slowest_us, said["max_us"])
    bench.rest(1)  # Compaction after a fill is part of the fill.
    return {"fill": (proc.cpu_us(pids) - last[1]) / last[0], "slowest": slowest_us / 1e6}


def grow(bench, sizes):
    """{size: figures}, in a system of its own; the tokens leased are spread over the store."""
    found = {}
    have = 0
    tokens = bench.ours().path("tokens-of-growth")
    for size in sizes:
        filled = fill(bench, have, size, tokens)
        have = size
        bench.progress.step(f"growth: measuring at {size:,} cards")
        made = bench.tokenize(64)
        leased = bench.load("vault", "lease", *bench.spread(64), "--tokens", tokens, who="relay")
        shown = bench.load("vault", "show", *bench.spread(64), "--tokens", tokens)
        found[size] = {**measure.growing(bench.ours()), **filled}
        for name, said in (("tokenize", made), ("lease", leased), ("show", shown)):
            found[size][f"{name} cpu"] = measure.cpu_of(said, "vault")
            found[size][f"{name} p50"] = said["p50_us"]
    return found
