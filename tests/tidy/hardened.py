#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the compiler and linker were asked to guard is in the program that they made (DEV-1).

`hardened.py READELF BINARY` fails when BINARY is not position-independent, has a writable
relocation table, lazy binding, an executable stack, no stack protector, or no fortified calls.
With --fails it must fail in each of these ways instead: for a program built without them.
"""
import subprocess
import sys


def read(readelf, *arguments):
    return subprocess.run([readelf, "-W", *arguments], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def faults(readelf, path):
    segments, dynamic = read(readelf, "-l", path), read(readelf, "-d", path)
    symbols = read(readelf, "--dyn-syms", path)
    stack = [line for line in segments.splitlines() if "GNU_STACK" in line]
    guards = {
        "position-independent": "DYN (Position-Independent" in read(readelf, "-h", path),
        "relro": "GNU_RELRO" in segments,
        "bound at start": "BIND_NOW" in dynamic or "Flags: NOW" in dynamic,
        "stack not executable": bool(stack) and "RWE" not in stack[0],
        "stack protector": "__stack_chk_fail" in symbols,
        "fortified": "_chk@" in symbols.replace("__stack_chk_fail@", ""),
    }
    return [name for name, holds in guards.items() if not holds]


def main():
    fails = "--fails" in sys.argv
    readelf, path = [word for word in sys.argv[1:] if word != "--fails"]
    found = faults(readelf, path)
    if fails:
        print(f"{path}: found {found}")
        return 0 if len(found) == 6 else 1
    for name in found:
        print(f"{path}: hardened: {name} does not hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
