# SPDX-License-Identifier: Apache-2.0
"""A file that a preloaded library of tests/support reads while a daemon works: how a test tells it
what to do, and hears what it did."""
import mmap
import os
import subprocess


class Control:
    """The control file of one daemon."""

    def __init__(self, path, size):
        self.path = path
        with open(path, "wb") as file:
            file.write(b"\0" * size)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), size)


def install(system, kind, make, environment):
    """Both daemons start with lib{kind}.so from here on, `environment()` around them;
    {daemon: its Control, made from a path}."""
    made = {name: make(os.path.join(os.path.dirname(system.folder), f"{name}.{kind}"))
            for name in ("vault", "relay")}
    usual = system.spawn

    def spawn(name):
        if name not in made:
            usual(name)
            return
        around = {**environment(), f"CARDKEEP_{kind.upper()}": made[name].path,
                  "LD_PRELOAD": os.path.join(system.build, f"lib{kind}.so")}
        with open(system.log_path(name), "ab") as log:
            system.running[name] = subprocess.Popen(system.command(name), stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=log, env=around)
    system.spawn = spawn
    return made
