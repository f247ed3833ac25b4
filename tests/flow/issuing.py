# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, by the openssl of the host: a second authority, certificates that run out
soon or have, and files that take each other's place by rename, as tools that renew them do."""
import os
import subprocess

from harness import equal

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
SERVER = "DNS:localhost,IP:127.0.0.1"


def _openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=60, check=False)
    equal(done.returncode, 0, f"openssl {arguments[0]}: {done.stderr}")
    return done.stdout


def authority(folder, name):
    """Makes `name`.pem and `name`.key in the folder."""
    _openssl(folder, "req", "-x509", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.pem",
             "-subj", f"/CN={name}", "-days", "90")


def certificate(folder, name, alt=SERVER, days=90, by="ca"):
    """The same, signed by `by`, which lies there too; with -1 days it has run out."""
    _openssl(folder, "req", "-new", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName={alt}")
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey",
             f"{by}.key", "-days", str(days), "-copy_extensions", "copy", "-out", f"{name}.pem")


def fingerprint(path):
    """AB:CD:…, as an operator compares it."""
    said = _openssl(os.path.dirname(path), "x509", "-in", path, "-noout", "-fingerprint",
                    "-sha256")
    return said.strip().split("=", 1)[1]


def content(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    """A new file in the place of the old one, whole at every moment."""
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
    with open(f"{path}.next", "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
    os.rename(f"{path}.next", path)
