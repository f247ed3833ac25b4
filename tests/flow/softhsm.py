# SPDX-License-Identifier: Apache-2.0
"""An HSM in software for a system's vault: SoftHSM, with a token in the system's own folder."""
import os
import shutil
import subprocess

from harness import check, equal

TOKEN = "cardkeep"
KEY = "cardkeep-root"
PIN = "softhsm-pin-58012-of-a-test"
SO_PIN = "softhsm-so-pin-77310"


class SoftHsm:
    """Its token, its PIN's file, and the vault's configuration for both."""

    def __init__(self, system):
        self.system = system
        self.folder = system.path("hsm")
        self.tokens = system.path("hsm/tokens")
        self.pin = system.path("keys/hsm.pin")
        os.makedirs(self.tokens)
        self.environment = {**os.environ, "SOFTHSM2_CONF": system.path("hsm/softhsm2.conf"),
                            "ODD_HSM": system.path("hsm/odd"),
                            "ODD_HSM_LOGINS": system.path("hsm/logins")}
        self.module = os.path.join(system.build, "libodd_hsm.so")
        with open(self.environment["SOFTHSM2_CONF"], "w", encoding="utf-8") as file:
            file.write(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\n"
                       "log.level = ERROR\n")
        self.util("--init-token", "--free", "--label", TOKEN, "--so-pin", SO_PIN, "--pin", PIN)
        self.write_pin(PIN)
        system.environment = self.environment

    def util(self, *arguments):
        done = subprocess.run(["softhsm2-util", *arguments], env=self.environment,
                              capture_output=True, text=True, timeout=60, check=False)
        equal(done.returncode, 0, f"softhsm2-util {arguments[0]}: {done.stdout}{done.stderr}")

    def write_pin(self, pin):
        with open(self.pin, "w", encoding="utf-8", opener=lambda path, flags:
                  os.open(path, flags, 0o600)) as file:
            file.write(pin + "\n")

    def behave(self, how):
        """As tests/support/odd_hsm.c has it; "" for an HSM as it should be."""
        with open(self.environment["ODD_HSM"], "w", encoding="ascii") as file:
            file.write(how)

    def logins(self):
        """How often a PIN was tried, ever."""
        path = self.environment["ODD_HSM_LOGINS"]
        return os.path.getsize(path) if os.path.exists(path) else 0

    def settings(self, **more):
        """The value of `pkcs11:` in the vault's configuration."""
        lines = {"module": self.module, "token": TOKEN, "key": KEY, "pin": "{file: keys/hsm.pin}",
                 "files": f"[{self.folder}]", **more}
        return "{" + ", ".join(f"{name}: {value}" for name, value in lines.items()) + "}"

    def remove(self):
        """Each token is a folder in the folder of tokens."""
        os.mkdir(self.tokens + ".away")
        for name in os.listdir(self.tokens):
            os.rename(os.path.join(self.tokens, name), os.path.join(self.tokens + ".away", name))

    def put_back(self):
        shutil.rmtree(self.tokens)
        os.rename(self.tokens + ".away", self.tokens)

    def objects(self):
        """The files of the token's objects."""
        found = []
        for folder, _, names in os.walk(self.tokens):
            found += [os.path.join(folder, name) for name in names
                      if name.endswith(".object") and name != "token.object"]
        return found

    def keep(self):
        """A copy of the token, for restore()."""
        kept = self.folder + ".kept"
        shutil.copytree(self.tokens, kept)
        return kept

    def delete_key(self):
        """Every object goes; restore() brings them back."""
        kept = self.keep()
        check(self.objects(), "the token has a key")
        for path in self.objects():
            os.remove(path)
        return kept

    def restore(self, kept):
        shutil.rmtree(self.tokens)
        shutil.move(kept, self.tokens)
