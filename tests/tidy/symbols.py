#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The relay cannot open an envelope, because the code is not in it.

`symbols.py NM CONTROL BINARY ARCHIVE...` fails when BINARY defines any symbol that an ARCHIVE
exports.  CONTROL is a program that does link them: were nothing found there, nothing found in
BINARY would prove nothing.
"""
import subprocess
import sys


def defined(nm, path, *options):
    out = subprocess.run([nm, "--defined-only", *options, path], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    words = (line.split() for line in out.splitlines())
    return {w[2] for w in words if len(w) == 3 and w[1] in "TtDdBbRrVvWw"}


def main():
    nm, control, binary, archives = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    forbidden = set().union(*(defined(nm, archive, "--extern-only") for archive in archives))
    if not forbidden or "main" not in defined(nm, binary):
        print(f"{binary}: symbols: it was stripped, or the archives are empty")
        return 1
    if not forbidden & defined(nm, control):
        print(f"{control}: symbols: the control links none of the archives either")
        return 1
    found = sorted(forbidden & defined(nm, binary))
    for name in found:
        print(f"{binary}: symbols: {name} must not be in it")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
