#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves of each rule of tidy.py that it can fail, where, and that a clean tree passes."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
CLEAN = {
    "CMakeLists.txt": "add_library(base STATIC\n  base/status.c relay/fill.c)\n",
    "README.md": "x\n" * 80,
    "base/README.md": "x\n" * tidy.README_LINES_MAX,
    "base/status.h": SPDX,
    "base/status.c": SPDX + '#include "base/status.h"\n\nint status_name(int why)\n{\n'
                     "    return why; /* goto, strcpy(a, b): words in a comment */\n}\n",
    "relay/fill.c": SPDX + '#include "vault/contract.h"\n\nstatic int local(void)\n{\n'
                    "    return 0;\n}\n",
    "vault/contract.h": SPDX,
    "tests/units.cmake": "unit_test(base/status base)\n",
    "tests/base/status_test.c": SPDX + 'Test(status, has_a_name)\n{\n    printf("https://x");\n}\n',
    "tests/tidy/published_cards.txt": "4242424242424242\n",
    "tests/tidy/secret_doors.txt": "",
}


def card(prefix, size):
    """A number with a right check digit, made here so that none stands in the tree."""
    body = prefix.ljust(size - 1, "7")
    return next(body + last for last in "0123456789" if tidy.luhn(body + last))


class Tidy(unittest.TestCase):
    def lines(self, **changes):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **changes.get("files", {})}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return tidy.check_tree(root)

    def refuses(self, path, text, start, only=True):
        lines = self.lines(files={path: text})
        self.assertTrue(any(line.startswith(start) for line in lines), (start, lines))
        if only:
            self.assertEqual(len(lines), 1, lines)

    def body(self, code):
        return SPDX + "int status_name(void)\n{\n" + code + "}\n"

    def test_a_clean_tree_passes(self):
        self.assertEqual(self.lines(), [])

    def test_arrows(self):
        for path, header in (("base/status.c", "keys/kdf.h"), ("relay/fill.c", "vault/token.h"),
                             ("relay/fill.c", "keys/kdf.h"), ("base/status.h", "status.h"),
                             ("vault/contract.h", "relay/fill.h")):
            self.refuses(path, SPDX + f'#include "{header}"\n', f"{path}:2: arrow")
        self.refuses("relay/sandbox/x.h", SPDX + '#include "relay/fill.h"\n',
                     "relay/sandbox/x.h:2: arrow")

    def test_function_size(self):
        limit = tidy.FUNCTION_LINES_MAX
        self.assertEqual(self.lines(files={"base/status.c": self.body("\n" * (limit - 2))}), [])
        self.refuses("base/status.c", self.body("\n" * (limit - 1)),
                     "base/status.c:3: function-size")

    def test_file_and_header_size(self):
        self.refuses("base/status.c", SPDX + "\n" * tidy.FILE_LINES_MAX,
                     "base/status.c:501: file-size")
        self.refuses("base/status.h", SPDX + "\n" * tidy.HEADER_LINES_MAX,
                     "base/status.h:201: header-size")

    def test_columns(self):
        self.refuses("base/status.h", SPDX + "x" * 101 + "\n", "base/status.h:2: columns")

    def test_licence(self):
        self.refuses("base/status.h", "\n\n", "base/status.h:1: licence")

    def test_names(self):
        self.refuses("base/status.c", SPDX + "int other_name(void)\n{\n}\n",
                     "base/status.c:2: name")
        said = "__attribute__((nonnull(1, 2))) static bool local(int x)\n{\n}\n"
        self.assertEqual(self.lines(files={"base/status.c": SPDX + said}), [])
        two_words = {"CMakeLists.txt": "base/status.c relay/fill.c base/status_text.c",
                     "base/status_text.c": SPDX + "int status_text(void)\n{\n}\n"}
        self.assertEqual(self.lines(files=two_words), [])
        listed = {"base/status.c": SPDX + "void clock_now(char out[static 2])\n{\n}\n"}
        self.assertEqual(len(self.lines(files=listed)), 1)
        listed["tests/tidy/names.txt"] = "base/status.c clock_ # a second noun\n"
        self.assertEqual(self.lines(files=listed), [])

    def test_every_source_is_built(self):
        self.refuses("base/lost.c", SPDX, "base/lost.c:1: not-built")
        self.refuses("tests/base/lost_test.c", SPDX, "tests/base/lost_test.c:1: not-built")
        self.refuses("tests/fuzz/lost_fuzz.c", SPDX, "tests/fuzz/lost_fuzz.c:1: not-built")

    def test_banned_calls(self):
        for name in list(tidy.BANNED) + list(tidy.PRINTS) + ["exit"]:
            self.refuses("base/status.c", self.body(f"    {name}(x);\n"),
                         f"base/status.c:4: banned: {name}")
        self.refuses("base/status.c", self.body("    memcmp(x,\n        secret_peek(y), 3);\n"),
                     "base/status.c:4: banned: memcmp", only=False)
        self.assertEqual(self.lines(files={"base/status.c": self.body("    x->signal(1);\n")}), [])

    def test_words(self):
        self.refuses("base/status.c", self.body("    goto end;\n"), "base/status.c:4: goto")
        self.refuses("base/status.c", self.body("    return 0; // why\n"),
                     "base/status.c:4: comment")
        self.refuses("base/status.h", SPDX + "/* FIX" + "ME */\n", "base/status.h:2: fixme")

    def test_secret_doors(self):
        opened = self.body("    secret_peek(x);\n")
        self.refuses("base/status.c", opened, "base/status.c:4: secret-door")
        door = "tests/tidy/secret_doors.txt"
        self.assertEqual(self.lines(files={"base/status.c": opened, door: "base/status.c\n"}), [])
        self.refuses(door, "\nbase/status.c # no more\n", f"{door}:2: secret-door")

    def test_card_numbers(self):
        for size in range(13, 20):
            self.refuses("vault/notes.txt", "\nx " + card("4", size) + "\n",
                         "vault/notes.txt:2: card")
        number = card("5", 16)
        for between in (" ", "-"):
            grouped = between.join(number[i:i + 4] for i in range(0, 16, 4))
            self.refuses("vault/notes.txt", grouped, "vault/notes.txt:1: card")
        digest = "ab" * 10 + number + "cd"
        wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
        for fine in ("4242 4242 4242 4242", wrong, "9" + number * 2, digest, "0" * 16):
            self.assertEqual(self.lines(files={"vault/notes.txt": fine}), [], fine)

    def test_readmes(self):
        self.refuses("base/README.md", "x\n" * (tidy.README_LINES_MAX + 1),
                     "base/README.md:26: readme-size")

    def test_top_level(self):
        self.refuses("util/x.txt", "x", "util:1: top-level")
        self.refuses("notes.txt", "x", "notes.txt:1: top-level")


if __name__ == "__main__":
    unittest.main()
