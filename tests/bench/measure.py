# SPDX-License-Identifier: Apache-2.0
"""Samples: one measurement each, under a name that rows ask for.  A sample is a dict of figures;
one whose load had any error is none, and raises Trouble."""
import json
import os
import signal
import subprocess
import time

import proc
import rivals
from rivals import harness

CONNECTIONS = {1: 1, 4: 1, 16: 1, 64: 4, 256: 8, 1024: 16}
WARM_UP = {1: 200, 4: 40, 16: 500, 64: 2000, 256: 4000, 1024: 8000}
STOCK = 20000  # Tokens that leases and payments use.
PATIENCE_S = 900


class Trouble(Exception):
    """What keeps a figure from being one."""


class Bench:
    """Everything that is under measurement; `with Bench(…) as bench`."""

    def __init__(self, build, seconds, progress):
        self.build = build
        self.seconds = seconds
        self.progress = progress
        self.system = None
        self.postgres = None
        self.nginx = None
        self.stocked = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.nginx, self.postgres):
            if one is not None:
                one.close()
        if self.system is not None:
            self.system.__exit__()

    # ---- Who takes part, each started when it is first needed ----

    def ours(self):
        if self.system is None:
            self.system = harness.System(self.build)
            self.system.start()
        return self.system

    def database(self):
        if self.postgres is None:
            tls = [self.ours().path("tls", name) for name in ("sandbox.pem", "sandbox.key")]
            self.postgres = rivals.Postgres(tls, self.progress)
            self.postgres.keep(64, 2)  # Its caches and files are warm then, as ours are.
        return self.postgres

    def proxy(self):
        if self.nginx is None:
            self.nginx = rivals.Nginx(self.ours())
        return self.nginx

    def stock(self):
        path = self.ours().path("stock")
        if not self.stocked:
            self.load("vault", "batch", "--batch", "100", "--count", str(STOCK // 100),
                      "--in-flight", "4", "--tokens-out", path)
            self.stocked = True
        return path

    def rest(self, seconds=0.3, patience_s=600):
        """Waits until our daemons do next to nothing: what their stores compact is for their own
        account, and not for the rival's whose turn it is."""
        pids = [pid for name in ("vault", "relay") for pid in self.ours().family(name)]
        state = {"at": time.monotonic(), "cpu_us": proc.cpu_us(pids)}

        def idle():
            now, cpu_us = time.monotonic(), proc.cpu_us(pids)
            if now - state["at"] < seconds:
                return False
            busy = (cpu_us - state["cpu_us"]) / (now - state["at"]) / 1e6
            state.update(at=now, cpu_us=cpu_us)
            self.progress.tick()
            return busy < 0.05
        harness.wait_until(idle, "the store has come to rest", patience_s)

    # ---- The load ----

    def command(self, port, who, kind, *options, http1=False):
        system = self.ours()
        name = "relay/relay-client" if who == "relay" else who
        return [os.path.join(self.build, "cardkeep-load"), "--port", str(port), "--ca",
                system.path("tls/ca.pem"), "--certificate", system.path(f"tls/{name}.pem"), "--key",
                system.path(f"tls/{name}.key"), *(["--http1"] if http1 else []), *options, kind]

    def watched(self):
        """{what: process ids} of all that works for a request."""
        system = self.ours()
        found = {name: list(system.family(name)) for name in ("vault", "relay", "sandbox")}
        found["keeper"] = [system.part("vault", "keeper")]
        if self.nginx is not None:
            found["nginx"] = self.nginx.pids()
        return found

    def load(self, target, kind, *options, who="shop", http1=False,
             to_rest=True):
        """What cardkeep-load says; `cpu_us_by` has the CPU time a request of each daemon.  What the
        stores compact because of it belongs to it, also when they do it later, unless the caller
        says that it does not wait for that."""
        port = self.nginx.port if target == "nginx" else self.ours().ports[target]
        watched = self.watched()
        watch = [word for pid in sorted({pid for pids in watched.values() for pid in pids})
                 for word in ("--watch", str(pid))]
        process = subprocess.Popen(self.command(port, who, kind, *options, *watch, http1=http1),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = self.progress.wait(process, PATIENCE_S)
        owed = {pid: -proc.cpu_us([pid]) for pids in watched.values() for pid in pids}
        if process.returncode not in (0, 1):
            raise Trouble(f"the load of {kind}: {err.strip()[-300:]}")
        said = json.loads(out)
        if said["errors"]:
            raise Trouble(f"{kind} had answers that were not expected: {said['errors']} "
                          f"{said.get('refusal', '')} {self.complaints()}")
        if to_rest:
            self.rest()
        by_pid = {int(pid): cpu_us + (owed[int(pid)] + proc.cpu_us([int(pid)])) / said["requests"]
                  for pid, cpu_us in said.get("cpu_us_of", {}).items()}
        said["cpu_us_by"] = {name: sum(by_pid[pid] for pid in pids)
                             for name, pids in watched.items()}
        return said

    def complaints(self):
        """What the daemons logged last that is not in order."""
        lines = [line for name in ("vault", "relay") for line in
                 self.ours().log(name).splitlines() if '"level":"info"' not in line]
        return " ".join(lines[-3:])[-600:]

    def spread(self, in_flight, http1=False):
        warm_up = max(in_flight, round(WARM_UP[in_flight] * min(1, self.seconds)))
        words = ["--in-flight", str(in_flight), "--warm-up", str(warm_up),
                 "--seconds", f"{self.seconds:g}"]
        return words if http1 else words + ["--connections", str(CONNECTIONS[in_flight])]

    def tokenize(self, in_flight):
        return self.load("vault", "tokenize", *self.spread(in_flight))

    def constant(self, in_flight):
        """The front reads all of the card, the keeper decides, and there is no right for it."""
        return self.load("vault", "tokenize", *self.spread(in_flight), "--expect", "403",
                         who="auditor")

    def lease(self, in_flight):
        return self.load("vault", "lease", *self.spread(in_flight), "--tokens", self.stock(),
                         who="relay")

    def batch(self):
        return self.load("vault", "batch", *self.spread(4), "--batch", "100")

    def pay(self, target, in_flight, http1=False):
        """Cards of their own go where nobody fills in tokens."""
        stock = self.stock()
        if target == "nginx":
            self.proxy()
        what = ["--tokens", stock] if target == "relay" else ["--cards"]
        path = ["--path", "/v1/payment_intents"] if target == "sandbox" else []
        return self.load(target, "pay", *self.spread(in_flight, http1), *what, *path, http1=http1)

    def keep(self, clients, kind="pgp"):
        database = self.database()
        self.rest()
        return database.keep(clients, self.seconds, kind)

    def append(self):
        self.rest()
        return rivals.append(self.ours().folder, 300 if self.seconds < 3 else 2000)

    # ---- What is measured once ----

    def restart(self):
        """Killed in the middle of tokenizing, over and over; the slowest start counts."""
        system = self.ours()
        took = []
        for number in range(3 if self.seconds >= 1 else 1):
            made = system.path(f"made-{number}")
            running = subprocess.Popen(
                self.command(system.ports["vault"], "shop", "tokenize", "--in-flight", "64",
                             "--seconds", "600", "--tokens-out", made),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                enough = int(20000 * self.seconds) * 32
                harness.wait_until(lambda: os.path.exists(made) and os.stat(made).st_size > enough,
                                   "the load has made tokens", 300)
                system.kill("vault")
            finally:
                running.kill()
                running.wait()
            began = time.perf_counter()
            system.spawn("vault")
            self.ready_soon()
            took.append(time.perf_counter() - began)
        return {"seconds": max(took)}

    def ready_soon(self):
        """As System.wait_ready, looking more often."""
        end = time.monotonic() + 60
        while not self.ours().is_ready("vault"):
            if time.monotonic() > end or self.ours().running["vault"].poll() is not None:
                raise Trouble("the vault does not start after kill -9")
            time.sleep(0.002)

    def verify(self):
        """Offline, over all that the run has written, in turn with sha256sum."""
        system = self.ours()
        harness.equal(system.end("vault", signal.SIGTERM), 0, "the vault's exit code")
        try:
            return self.verify_stopped(system)
        finally:
            system.start("vault")

    def verify_stopped(self, system):
        tail = system.cardkeep("audit", "tail", "--json", "--count", "10000", "--store",
                               system.path("data/vault"), config=False).stdout.encode()
        path = system.path("entries")
        ours, theirs = [], []
        for _ in range(3):
            began = time.perf_counter()
            done = system.verify_store("vault")
            ours.append(time.perf_counter() - began)
            if done.returncode != 0:
                raise Trouble(f"audit verify: {done.stdout}{done.stderr}")
            entries = int(done.stdout.split(" is whole: ")[1].split()[0])
            size = entries * len(tail) // max(1, tail.count(b"\n"))
            if not os.path.exists(path):
                with open(path, "wb") as file:
                    for _ in range(size // len(tail) + 1):
                        file.write(tail)
                    file.truncate(size)
            began = time.perf_counter()
            subprocess.run(["sha256sum", path], stdout=subprocess.DEVNULL, check=True)
            theirs.append(time.perf_counter() - began)
        os.unlink(path)
        ours, theirs = sorted(ours)[1], sorted(theirs)[1]
        return {"entries": entries, "ours": size / ours / 1e6, "theirs": size / theirs / 1e6}


def samples(bench):
    """{name: how it is taken}, in the order in which a round takes them."""
    return {
        "append": bench.append,
        "tokenize 64": lambda: bench.tokenize(64),
        "PostgreSQL 64": lambda: bench.keep(64),
        "constant 64": lambda: bench.constant(64),
        "lease 64": lambda: bench.lease(64),
        "tokenize 256": lambda: bench.tokenize(256),
        "PostgreSQL 256": lambda: bench.keep(256),
        "constant 256": lambda: bench.constant(256),
        "lease 256": lambda: bench.lease(256),
        "batch": bench.batch,
        "tokenize 1024": lambda: bench.tokenize(1024),
        "PostgreSQL aes 64": lambda: bench.keep(64, "aes"),
        "tokenize 1": lambda: bench.tokenize(1),
        "relay 64": lambda: bench.pay("relay", 64),
        "nginx 64": lambda: bench.pay("nginx", 64),
        "gateway 64": lambda: bench.pay("sandbox", 64),
        "relay h1": lambda: bench.pay("relay", 64, http1=True),
        "nginx h1": lambda: bench.pay("nginx", 64, http1=True),
        "relay 1": lambda: bench.pay("relay", 1),
        "nginx 1": lambda: bench.pay("nginx", 1),
        "gateway 1": lambda: bench.pay("sandbox", 1),
    }


def samples_once(bench, apart):
    """What is taken once, after all rounds; `apart` in systems of their own."""
    return {"restart": bench.restart, "verify": bench.verify, **apart}


def cpu_of(sample, *names):
    return sum(sample["cpu_us_by"][name] for name in names)


def growing(system):
    keeper = system.part("vault", "keeper")
    return {"memory": proc.memory_bytes(keeper), "disk": proc.disk_bytes(system.path("data/vault"))}
