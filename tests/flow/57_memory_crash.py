# SPDX-License-Identifier: Apache-2.0
"""What is left of a card where a process dies with it, and what keeps a card from leaving memory by
any other way: cores, swap, names, temporary files.
"""
import ctypes
import fcntl
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys

from harness import FORM, KEY, PATIENCE_S, check, equal, wait_until
from rounds import rounds
from scan import Watch, closed, drawn_card, may_look
from wire import Http2, Wire, request

SOAK = True
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
TOKENS = "/v1/tokens"
INTENTS = "/sandbox/v1/payment_intents"
PR_CAPBSET_DROP, CAP_IPC_LOCK, CAP_SYS_RESOURCE = 24, 14, 24
PARTS = (("vault", "front"), ("vault", "keeper"), ("vault", "signer"), ("relay", "relay"),
         ("relay", "signer"))


def prepare(system):
    """Started by somebody who lets cores be as large as they like."""
    hard = resource.RLIM_INFINITY if may_look() else resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    for daemon in ("vault", "relay"):
        system.edit(f"{daemon}.yaml", "log: {level: info}", "log: {level: debug}")


def _parts(system):
    """(daemon, name, pid) of every process but the supervisors, which never see a card."""
    return [(daemon, name, system.part(daemon, name)) for daemon, name in PARTS]


def _status(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return re.search(rf"^{name}:\t(.*)$", file.read(), re.M).group(1)


def each_process_leaves_no_core_and_gains_no_privileges(system):
    for daemon, name, pid in _parts(system):
        with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
            core = [line.split()[4:6] for line in file if line.startswith("Max core")]
        equal(core, [["0", "0"]], f"core file sizes of the {daemon}'s {name}")
        equal(_status(pid, "NoNewPrivs"), "1", f"privileges of the {daemon}'s {name}")
        equal(os.stat(f"/proc/{pid}/mem").st_uid, 0, "whose its memory is: not dumpable")


def _locked(pid):
    """[(bytes, bytes locked, flags)] of the mappings that may not be swapped."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        blocks = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", file.read(), flags=re.M)[1:]
    found = []
    for block in blocks:
        value = {name: text for name, text in re.findall(r"^(\w+): +(.*)$", block, re.M)}
        flags = value["VmFlags"].split()
        if "lo" in flags:
            found.append((int(value["Size"].split()[0]), int(value["Locked"].split()[0]), flags))
    return found


def what_holds_cards_and_keys_cannot_be_swapped_or_dumped(system):
    if not may_look():
        closed(system)
        return
    for daemon, name, pid in _parts(system):
        locked = _locked(pid)
        check(locked, f"the {daemon}'s {name} has locked memory")
        for size, is_locked, flags in locked:
            equal(is_locked, size, f"kB locked, of so many, at the {daemon}'s {name}")
            check("dd" in flags, f"the {daemon}'s {name} keeps it out of cores: {flags}")
        # The keys of a signer are one page each; the pool of the others is no child's either.
        check(name == "signer" or any("dc" in flags for _, _, flags in locked),
              f"the {daemon}'s {name} has its pool")


def _start_without_lockable_memory(system, daemon):
    """What it says, and how it ends, where it may lock 16 kB and no more."""
    def confine():
        if may_look():
            libc = ctypes.CDLL(None, use_errno=True)
            for capability in (CAP_IPC_LOCK, CAP_SYS_RESOURCE):
                if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                    os._exit(99)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (16384, 16384))
    process = subprocess.Popen(system.command(daemon), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=confine)
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said.decode()
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        return None, said.decode()


def a_daemon_that_cannot_lock_memory_does_not_start(system):
    for daemon in ("vault", "relay"):
        system.stop(daemon)
        try:
            code, said = _start_without_lockable_memory(system, daemon)
        finally:
            system.start(daemon)
        check(code not in (0, 99, None), f"the {daemon} gives up: {code}: {said[-1500:]}")
        check("memory" in said and "lock" in said, f"and says why: {said[-1500:]}")


class Cores:
    """Sees to it that any process that may leave a core leaves it in a folder of ours."""

    def __init__(self, system):
        self.folder = system.path("cores")
        self.old = None
        self.file = None

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o777)
        if may_look():
            self.file = open(CORE_PATTERN, "r+", encoding="utf-8")
            fcntl.flock(self.file, fcntl.LOCK_EX)  # Whoever runs these tests beside us waits.
            self.old = self.file.read()
            # To a program: that knows no limit, and no bounds on which files the process may write.
            # It runs outside of any chroot, and finds our folder through the root of who crashed.
            self.arm(f"|/usr/bin/tee /proc/%P/root{self.folder}/core.%p\n")
        return self

    def arm(self, pattern):
        with open(CORE_PATTERN, "w", encoding="utf-8") as file:
            file.write(pattern)

    def __exit__(self, *_):
        if self.file is not None:
            self.arm(self.old)
            self.file.close()

    def of(self, pid):
        return [name for name in os.listdir(self.folder) if name == f"core.{pid}"]


def _in_flight(system, watch):
    """Cards in the midst of a front and of a relay; the connections that they came by."""
    two = Http2(system)
    two.wire.send(two.head("POST", TOKENS) + two.data(watch.body("in flight"), 400, end=False)[0])
    equal(two.ask("GET", TOKENS + "/x", b""), 404, "the front has it")
    card = json.loads(watch.body("on its way out"))
    del card["purchase"]
    made = system.token(**card)
    paying = Wire(system, port="relay")
    form = ("amount=1&currency=eur&payment_method_data%5Bcard%5D%5Bnumber%5D=" +
            made["token"]).encode()
    system.forget_received()
    paying.send(request("POST", INTENTS, form, **{
        "Content-Type": FORM, **KEY, "Sandbox-Behaviour": "slow", "Sandbox-Delay-Ms": "20000"}))
    wait_until(system.received, "the gateway has it")
    return two.wire, paying


def _over(system, wires):
    """The callers hang up, and so does the gateway, for which the relay would wait."""
    for wire in wires:
        wire.kill()
    system.kill("sandbox")
    system.start("sandbox")


def a_process_that_leaves_a_core_leaves_one_where_we_look(system):
    if not may_look():
        closed(system)
        return
    with Cores(system) as cores:
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                                 stdin=subprocess.PIPE)
        child.send_signal(signal.SIGSEGV)
        child.wait()
        wait_until(lambda: cores.of(child.pid), "a core of a process that is not ours")
        os.remove(os.path.join(cores.folder, f"core.{child.pid}"))


def _crash(system, daemon, name, how):
    watch = Watch(system)
    wires = _in_flight(system, watch)
    if may_look():
        held = "\n".join(watch.search())
        check("vault's front" in held and "relay's relay" in held, f"cards were there: {held}")
    with Cores(system) as cores:
        pid = system.part(daemon, name)
        os.kill(pid, how)
        wait_until(lambda: system.part(daemon, name) not in (None, pid), f"a new {name}")
        equal(cores.of(pid), [], f"cores of the {daemon}'s {name}")
    _over(system, wires)
    wait_until(lambda: system.is_ready("vault") and system.is_ready("relay"), "both are well")
    watch.clean()


def a_process_that_crashes_leaves_no_core_and_no_card(system):
    for turn in rounds(1):
        for index, (daemon, name) in enumerate(PARTS):
            _crash(system, daemon, name, (signal.SIGSEGV, signal.SIGABRT)[(turn + index) % 2])


def a_supervisor_that_crashes_takes_all_with_it_and_no_card_stays(system):
    for daemon in ("vault", "relay"):
        watch = Watch(system)
        wires = _in_flight(system, watch)
        children = [pid for pid in system.family(daemon) if pid != system.running[daemon].pid]
        with Cores(system):
            system.end(daemon, signal.SIGSEGV)
            wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children),
                       "its processes end with it")
        _over(system, wires)
        watch.clean()
        system.start(daemon)
        watch.clean()


def no_process_has_a_file_that_is_gone_or_elsewhere(system):
    """Temporary files above all; a deleted one still has its bytes."""
    if not may_look():
        closed(system)
        return
    system.token(drawn_card())
    for daemon in ("vault", "relay"):
        for pid, name in system.family(daemon).items():
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{descriptor}"
                try:
                    kind, target = os.stat(path).st_mode, os.readlink(path)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(kind):
                    check(target.startswith(system.folder) and not target.endswith("(deleted)"),
                          f"the {daemon}'s {name} has {target} open")
