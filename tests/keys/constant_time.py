#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shares are split and joined without a branch or an address that depends on a secret.

MemorySanitizer follows the secrets, marked as uninitialised, and stops where one decides; a second
run, with a table that a secret is looked up in, shows that it would.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SOURCES = ("keys/gf256.c", "keys/bech32.c")


def build(driver, level, binary):
    subprocess.run(["clang", "-std=gnu17", level, "-g", "-fsanitize=memory", "-I.", driver,
                    *SOURCES, "-lsodium", "-o", binary], cwd=ROOT, check=True)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(driver):
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for level in ("-O0", "-O1", "-O2", "-O3"):
            binary = os.path.join(folder, "driver")
            build(driver, level, binary)
            done = run(binary)
            if done.returncode != 0 or "no branch" not in done.stdout:
                print(f"{level}: a secret decides:\n{done.stderr}")
                good = False
            done = run(binary, "table")
            if done.returncode == 0 or "use-of-uninitialized-value" not in done.stderr:
                print(f"{level}: a table that a secret is looked up in was not noticed")
                good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
