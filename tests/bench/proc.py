# SPDX-License-Identifier: Apache-2.0
"""What processes and folders cost, as the kernel counts it."""
import os

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_us(pids):
    """Run time of all threads of these processes; those that have ended count no more."""
    total = 0
    for pid in pids:
        folder = f"/proc/{pid}/task"
        try:
            tasks = os.listdir(folder)
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"{folder}/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
            except OSError:
                continue  # It ended meanwhile.
    return total / 1000


def reaped_cpu_us(pid):
    """Run time of this process's children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * 1e6 / TICKS_A_SECOND


def children(pid):
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{other}/stat", encoding="ascii", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(other))
        except OSError:
            continue
    return found


def memory_bytes(pid):
    """What of a process is in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"process {pid} has no memory")


def disk_bytes(folder):
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(inside, name)).st_blocks * 512
            except FileNotFoundError:
                continue  # The store compacts as we look.
    return total


def file_system(path):
    """The kind of file system that a path lies on."""
    best = ("", "")
    with open("/proc/mounts", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, at, kind = line.split()[:3]
            inside = os.path.realpath(path) + "/"
            if inside.startswith(at.rstrip("/") + "/") and len(at) >= len(best[0]):
                best = (at, kind)
    return best[1]
