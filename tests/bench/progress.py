# SPDX-License-Identifier: Apache-2.0
"""Signs of life, on stderr: a line that changes on a terminal, a line a step elsewhere."""
import subprocess
import sys
import time


class Progress:
    def __init__(self):
        self.terminal = sys.stderr.isatty()
        self.text = ""
        self.began = time.monotonic()

    def show(self, text, end):
        sys.stderr.write(("\r\x1b[K" if self.terminal else "") + text + end)
        sys.stderr.flush()

    def step(self, text):
        self.text = text
        self.began = time.monotonic()
        self.show(text, "" if self.terminal else "\n")

    def tick(self):
        if self.terminal:
            self.show(f"{self.text} … {time.monotonic() - self.began:.0f} s", "")

    def clear(self):
        if self.terminal:
            self.show("", "")

    def wait(self, process, patience_s):
        """The process's stdout and stderr when it ends; ticks until then."""
        end = time.monotonic() + patience_s
        while True:
            try:
                return process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                if time.monotonic() > end:
                    process.kill()
                    process.communicate()
                    raise
                self.tick()
