# SPDX-License-Identifier: Apache-2.0
"""A client that behaves, what it gets while others do not, and what the daemon has to hold then.

Both sides are processes of their own: an attack has a lower priority, so that what the neighbour
loses is the server's doing and not the machine's.
"""
import http.client
import multiprocessing
import os
import re
import signal
import threading
import time

from harness import KEY, check, payment, wait_until

import attacks

THREADS = 4
PER_SECOND = 100  # Of each thread.
SHARE_MIN = 0.8
TRIES = 6
# What the neighbour has while the attacker rests is not believed below this part of what it had
# before: the server may still be busy with the attack.
RESTING_MIN = 0.6
OWN_COUNT = 1  # The relay's own connection to the vault comes and goes.
LOG_BYTES_MAX = 32768
MIB = 1 << 20

_fork = multiprocessing.get_context("fork")
PARTS = {"vault": "front", "relay": "relay"}


class Neighbour:
    """Requests at a steady pace, each on one of a few connections that stay open."""

    def __init__(self, system, daemon, token):
        self.done = _fork.Value("Q", 0)
        self.wrong = _fork.Value("Q", 0)
        self.system = system
        self.port = system.ports[daemon]
        self.context = system.context("shop")
        if daemon == "vault":
            self.request = ("GET", f"/v1/tokens/{token}", None, {})
        else:
            form = "&".join(f"{name}={value}" for name, value in payment(token))
            self.request = ("POST", "/sandbox/v1/payment_intents", form,
                            {**KEY, "Cardkeep-Dry-Run": "true",
                             "Content-Type": "application/x-www-form-urlencoded"})
        self.process = _fork.Process(target=self._run, daemon=True)
        self.process.start()

    def _run(self):
        for _ in range(THREADS):
            threading.Thread(target=self._ask, daemon=True).start()
        threading.Event().wait()

    def _ask(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context,
                                                 timeout=20)
        at = time.monotonic()
        while True:
            try:
                connection.request(*self.request[:2], body=self.request[2],
                                   headers=self.request[3])
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
                good = False
            with (self.done if good else self.wrong).get_lock():
                (self.done if good else self.wrong).value += 1
            at = max(at + 1 / PER_SECOND, time.monotonic() - 1 / PER_SECOND)
            time.sleep(max(0, at - time.monotonic()))

    def rate(self, length_s):
        """Answers a second, over so long."""
        count, begin = self.done.value, time.monotonic()
        time.sleep(length_s)
        return (self.done.value - count) / (time.monotonic() - begin)

    def end(self):
        self.process.kill()
        self.process.join()


class Attack:
    def __init__(self, system, daemon, attack, who, bursts_per_second):
        self.sent = _fork.Value("Q", 0)
        self.ended = _fork.Value("Q", 0)
        target = attacks.Target(system, system.ports[daemon], who, self.sent, self.ended,
                                bursts_per_second)
        self.process = _fork.Process(target=self._run, args=(attack, target))
        self.process.start()
        os.setpgid(self.process.pid, self.process.pid)  # Whoever of the two comes first.

    @staticmethod
    def _run(attack, target):
        os.setpgid(0, 0)
        os.nice(10)
        attack(target)

    def rest(self):
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()


# ---- What a daemon holds ----

def meter(system, daemon, name):
    text = system.metrics(daemon, "/metrics").body.decode()
    return int(re.search(rf"^cardkeep_{daemon}_http_{name} (-?\d+)$", text, re.M).group(1))


def resident(system, daemon):
    """Bytes of memory of the part that serves HTTP."""
    pid = system.part(daemon, PARTS[daemon])
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def sockets(system, daemon):
    """Those of the daemon's port, by the kernel's own table; listening ones and those that only
    wait for their time do not count."""
    port = f":{system.ports[daemon]:04X}"
    with open("/proc/net/tcp", encoding="utf-8") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(port) and row[3] not in ("06", "0A"))


class Watch(threading.Thread):
    """The most memory and sockets that were seen."""

    def __init__(self, system, daemon):
        super().__init__(daemon=True)
        self.system, self.daemon_name = system, daemon
        self.over = threading.Event()
        self.memory = self.socket_count = 0

    def run(self):
        while not self.over.wait(0.1):
            self.memory = max(self.memory, resident(self.system, self.daemon_name))
            self.socket_count = max(self.socket_count, sockets(self.system, self.daemon_name))

    def end(self):
        self.over.set()
        self.join()


class Figures:
    def __init__(self):
        self.alone = self.under = 0.0
        self.sent = self.ended = self.cut = self.shed = 0
        self.memory = self.log_bytes = self.socket_count = 0

    @property
    def share(self):
        return self.under / max(self.alone, 1)

    def __str__(self):
        return (f"neighbour {self.alone:.0f}/s alone, {self.under:.0f}/s under attack "
                f"({100 * self.share:.0f} %); {self.sent} bursts, "
                f"{self.ended} ended, {self.cut} cut; +{self.memory / MIB:.0f} MiB, "
                f"{self.socket_count} sockets, +{self.log_bytes} bytes of log")


def endure(system, daemon, neighbour, attack, who="other", bursts_per_second=100, length_s=0.6,
           patience_s=20):
    """The attack, and what it did; that everything is as before is checked here."""
    figures = Figures()
    memory = resident(system, daemon)
    log_bytes = os.path.getsize(system.log_path(daemon))
    names = ("connections_cut_total", "connections_shed_total", "connections_open")
    cut, shed, connections = (meter(system, daemon, name) for name in names)
    figures.alone = before = neighbour.rate(0.3)
    watch = Watch(system, daemon)
    watch.start()
    running = Attack(system, daemon, attack, who, bursts_per_second)
    try:
        wait_until(lambda: running.sent.value > 0, "the attack has begun")
        alone = before
        # Looks again when the machine may have had something else to do; a real attack is as bad
        # each time.
        for _ in range(TRIES):
            under = neighbour.rate(length_s)
            if under / alone > figures.share:
                figures.alone, figures.under = alone, under
            if figures.share >= SHARE_MIN:
                break
            running.rest()
            alone = max(neighbour.rate(0.3), RESTING_MIN * before)
            running.go_on()
    finally:
        running.end()
        watch.end()
    figures.sent, figures.ended = running.sent.value, running.ended.value
    figures.memory, figures.socket_count = watch.memory - memory, watch.socket_count
    wait_until(lambda: meter(system, daemon, "connections_open") <= connections + OWN_COUNT,
               f"as many connections as before {attack.__name__}", patience_s)
    wait_until(lambda: sockets(system, daemon) <= THREADS + 1, "as many sockets as before")
    figures.cut = meter(system, daemon, names[0]) - cut
    figures.shed = meter(system, daemon, names[1]) - shed
    figures.log_bytes = os.path.getsize(system.log_path(daemon)) - log_bytes
    print(f"     {daemon}, {attack.__name__.replace('_', ' ')}: {figures}", flush=True)
    check(figures.share >= SHARE_MIN, f"the neighbour's share: {figures}")
    check(figures.log_bytes <= LOG_BYTES_MAX, f"the log stays small: {figures}")
    return figures
