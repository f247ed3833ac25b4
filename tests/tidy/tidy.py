#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules as a test: `tidy.py [ROOT]` prints `file:line: rule: what`; then it exits 1.

Each rule is one function over one file's text or over the tree; `tidy_test.py` proves that each
can fail.  The lists beside this file are the exceptions, each with its reason.
"""
import os
import re
import sys

PRODUCT = ("base", "keys", "policies", "vault", "relay")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
HEADER_LINES_MAX = 200
COLUMNS_MAX = 100
README_LINES_MAX = 25
TOP_LEVEL = set(PRODUCT) | {"tests", "CMakeLists.txt", "README.md", "SECURITY.md", "LICENSE"}
PRUNED = ("build", "dev", "node_modules", "__pycache__")

# Whose headers each folder may include: the arrows of the link graph, read backwards.
ARROWS = {
    "base": ("base/",),
    "keys": ("base/", "keys/"),
    "policies": ("base/", "policies/"),
    "vault": ("base/", "keys/", "policies/", "vault/"),
    "relay": ("base/", "policies/", "relay/", "vault/contract.h"),
    # The test gateway is the other side: it shares nothing with what it is there to test.
    "relay/sandbox": ("base/", "relay/sandbox/"),
}

BANNED = {
    "strcpy": "memcpy with a checked size", "strcat": "a struct buffer",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strtok": "strchr or strspn",
    "atoi": "a checked loop", "strtol": "a checked loop", "strtoul": "a checked loop",
    "gets": "fgets", "alloca": "calloc", "rand": "random_bytes", "getenv": "secure_getenv",
    "malloc": "calloc", "signal": "sigaction or signalfd", "usleep": "a timer",
}
PRINTS = ("printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "fputc")
PRINTERS = re.compile(r"(^|/)main\.c$|^base/(daemon|log)\.c$|^(vault|relay)/settings(_hsm)?\.c$|"
                      r"^vault/cli/say\.c$|^tests/")
EXITS = re.compile(r"(^|/)main\.c$|^tests/")

ATTRIBUTE = re.compile(r"__attribute__\s*\(\([^;{}]*?\)\)")
RUN = re.compile(rb"[0-9](?:[ -]?[0-9]){12,}")


class Report:
    def __init__(self):
        self.lines = []

    def add(self, path, line, rule, what):
        self.lines.append(f"{path}:{line}: {rule}: {what}")


def tree_files(root):
    for folder, folders, names in os.walk(root):
        top = folder == root
        folders[:] = sorted(f for f in folders if not f.startswith(".") and
                            not (f.startswith("build-") or f in PRUNED))
        for name in sorted(names):
            if top and name.startswith("."):
                continue
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def blanked(text):
    """The code with comments, strings and characters blanked; as long, with the same lines."""
    pattern = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found.startswith("/*"):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + " " * (len(found) - 2) + found[-1]
    return pattern.sub(blank, text)


def without_directives(code):
    """Preprocessor lines blanked, continuations too: a macro's body is no function."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  code, flags=re.M)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def functions(code):
    """(name, is static, offset of the name, first line, last line) of each function's body."""
    plain = without_directives(code)
    depth, start, found, head_at = 0, 0, None, 0
    for at, char in enumerate(plain):
        if char == "{":
            if depth == 0:
                head = ATTRIBUTE.sub(lambda m: " " * len(m.group(0)), plain[head_at:at])
                found = re.search(r"([A-Za-z_]\w*)\s*\([^;]*\)\s*$", head, re.S)
                name = re.search(r"\b([A-Za-z_]\w*)\s*\(", head)
                start = at
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                if found and name and "=" not in head.split("(")[0]:
                    yield (name.group(1), "static" in head[:name.start()].split(),
                           head_at + name.start(1), line_of(plain, start), line_of(plain, at))
                head_at = at + 1
        elif char == ";" and depth == 0:
            head_at = at + 1


def folder_of(path):
    if path.startswith("relay/sandbox/"):
        return "relay/sandbox"
    return path.split("/")[0]


def check_arrows(path, text, report):
    folder = folder_of(path)
    if folder not in ARROWS:
        return
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', text, re.M):
        if not match.group(1).startswith(ARROWS[folder]):
            report.add(path, line_of(text, match.start()), "arrow",
                       f"{folder}/ may not include {match.group(1)}")


def check_shape(path, text, report):
    count = text.count("\n")
    if count > FILE_LINES_MAX:
        report.add(path, FILE_LINES_MAX + 1, "file-size",
                   f"{count} lines, {FILE_LINES_MAX} at most")
    if path.endswith(".h") and path.startswith(PRODUCT) and count > HEADER_LINES_MAX:
        report.add(path, HEADER_LINES_MAX + 1, "header-size",
                   f"{count} lines, {HEADER_LINES_MAX} at most")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS_MAX:
            report.add(path, number, "columns", f"{len(line)}, {COLUMNS_MAX} at most")
    if "SPDX-License-Identifier: Apache-2.0" not in "".join(text.split("\n")[:2]):
        report.add(path, 1, "licence", "the first line is not the SPDX line")


def check_functions(path, code, report):
    for name, _, _, first, last in functions(code):
        if last - first + 1 > FUNCTION_LINES_MAX:
            report.add(path, first, "function-size",
                       f"{name} has {last - first + 1} lines, {FUNCTION_LINES_MAX} at most")


def name_prefixes(path, names, files):
    """foo_bar.c may export foo_bar_… and foo_…, if there is a foo.h or a foo_….c beside it."""
    folder, file = os.path.split(path)
    words = file[:-2].split("_")
    allowed = ["_".join(words) + "_"] + names.get(path, [])
    for size in range(1, len(words)):
        stem = "_".join(words[:size])
        if any(f.startswith(f"{folder}/{stem}.") for f in files):
            allowed.append(stem + "_")
    return tuple(allowed)


def check_names(path, code, names, files, report):
    if not path.endswith(".c") or not path.startswith(PRODUCT):
        return
    allowed = name_prefixes(path, names, files)
    for name, static, at, _, _ in functions(code):
        if not static and name != "main" and not (name + "_").startswith(allowed):
            report.add(path, line_of(code, at), "name",
                       f"{name} is exported and begins with none of {', '.join(allowed)}")


def check_calls(path, code, report):
    for name, instead in BANNED.items():
        for match in re.finditer(rf"(?<![\w.>]){name}\s*\(", code):
            report.add(path, line_of(code, match.start()), "banned", f"{name}: use {instead}")
    for name in PRINTS:
        for match in re.finditer(rf"(?<![\w.>]){name}\s*\(", code):
            if not PRINTERS.search(path):
                report.add(path, line_of(code, match.start()), "banned", f"{name}: use log_event")
    for match in re.finditer(r"(?<![\w.>])exit\s*\(", code):
        if not EXITS.search(path):
            report.add(path, line_of(code, match.start()), "banned", "exit: return to main")
    if path.startswith("tests/"):
        return
    for match in re.finditer(r"\bmemcmp\s*\([^;]*?\bsecret_(?:bytes|peek)\b", code):
        report.add(path, line_of(code, match.start()), "banned",
                   "memcmp on a secret: use sodium_memcmp")


def check_words(path, text, code, report):
    for match in re.finditer(r"\bgoto\b", code):
        report.add(path, line_of(code, match.start()), "goto", "return early, or OWNED()")
    for match in re.finditer(r"//", code):
        report.add(path, line_of(code, match.start()), "comment", "write /* … */")
    for match in re.finditer(r"\bFIX" + r"ME\b", text):
        report.add(path, line_of(text, match.start()), "fixme", "do it, or open an issue")


def check_doors(codes, doors, report):
    opened = {}
    for path, code in codes.items():
        if not path.startswith(PRODUCT) or path.startswith("base/secret."):
            continue
        match = re.search(r"\bsecret_(?:bytes|peek)\s*\(", code)
        if match:
            opened[path] = line_of(code, match.start())
    for path, line in sorted(opened.items()):
        if path not in doors:
            report.add(path, line, "secret-door",
                       "opens a secret and is not in tests/tidy/secret_doors.txt")
    for path, line in sorted(doors.items()):
        if path not in opened:
            report.add("tests/tidy/secret_doors.txt", line, "secret-door",
                       f"{path} opens no secret any more")


def check_listed(path, build, units, report):
    if not path.endswith(".c"):
        return
    if re.search(rf"(?<![\w/.-]){re.escape(path)}(?![\w/.-])", build):
        return
    test = re.fullmatch(r"tests/(.+)_test\.c", path)
    fuzz = re.fullmatch(r"tests/fuzz/(\w+)_fuzz\.c", path)
    if test and re.search(rf"unit_test\({re.escape(test.group(1))}[ )]", units):
        return
    if fuzz and re.search(rf"fuzz_target\({fuzz.group(1)}[ )]", build):
        return
    report.add(path, 1, "not-built", "it is in no list of sources")


def luhn(digits):
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def in_long_hex(data, start, end):
    """A digest or a key in a test vector: what looks like a card in it is chance."""
    while start > 0 and data[start - 1:start] in HEX:
        start -= 1
    while end < len(data) and data[end:end + 1] in HEX:
        end += 1
    return end - start >= 32 and re.search(rb"[a-fA-F]", data[start:end]) is not None


HEX = {bytes([b]) for b in b"0123456789abcdefABCDEF"}


def check_cards(path, data, published, report):
    for match in RUN.finditer(data):
        digits = re.sub(rb"[^0-9]", b"", match.group(0)).decode()
        if not 13 <= len(digits) <= 19 or not luhn(digits) or digits in published:
            continue
        if digits[0] == "0":
            continue  # No issuer has it: counters and fillings do.
        if in_long_hex(data, match.start(), match.end()):
            continue
        report.add(path, data.count(b"\n", 0, match.start()) + 1, "card",
                   f"{len(digits)} digits with a right check digit, not a published test number")


def check_readme(path, text, report):
    if path.endswith("/README.md") and text.count("\n") > README_LINES_MAX:
        report.add(path, README_LINES_MAX + 1, "readme-size",
                   f"{text.count(chr(10))} lines, {README_LINES_MAX} at most")


def check_top(root, report):
    for name in sorted(os.listdir(root)):
        if name.startswith(".") or name in TOP_LEVEL or name.startswith("build-") or name in PRUNED:
            continue
        report.add(name, 1, "top-level", "only the folders and files of the plan stand here")


def list_read(root, name):
    """First word of each line -> its line number; '#' begins a reason."""
    path = os.path.join(root, "tests/tidy", name)
    entries = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                words = line.split("#")[0].split()
                if words:
                    entries[words[0]] = (number, words[1:])
    return entries


def check_tree(root):
    report = Report()
    files = list(tree_files(root))
    names = {path: words for path, (_, words) in list_read(root, "names.txt").items()}
    doors = {path: number for path, (number, _) in list_read(root, "secret_doors.txt").items()}
    published = set(list_read(root, "published_cards.txt"))
    sources = {}
    for path in files:
        with open(os.path.join(root, path), "rb") as file:
            data = file.read()
        check_cards(path, data, published, report)
        if path.endswith((".c", ".h", ".py", ".md", ".cmake", "CMakeLists.txt")):
            sources[path] = data.decode("utf-8", "replace")
    build = "\n".join(text for path, text in sources.items() if path.endswith("CMakeLists.txt"))
    units = sources.get("tests/units.cmake", "")
    codes = {path: blanked(text) for path, text in sources.items() if path.endswith((".c", ".h"))}
    for path, text in sources.items():
        check_readme(path, text, report)
        if path.endswith((".c", ".h", ".py")):
            check_shape(path, text, report)
        if path not in codes:
            continue
        code = codes[path]
        check_arrows(path, text, report)
        check_functions(path, code, report)
        check_names(path, code, names, files, report)
        check_calls(path, code, report)
        check_words(path, text, code, report)
        check_listed(path, build, units, report)
    check_doors(codes, doors, report)
    check_top(root, report)
    return report.lines


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..")
    lines = check_tree(os.path.abspath(root))
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
