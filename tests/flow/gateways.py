# SPDX-License-Identifier: Apache-2.0
"""Gateways that answer what a test says, byte for byte, and certificates that are wrong in one way
each: of gateways, and of callers.
"""
import os
import shutil
import socket
import ssl
import subprocess
import threading

from harness import PATIENCE_S, ROOT, equal

# Years; each time is the start of one.
PAST, NOW, FUTURE, SOON = 2020, 2025, 2098, 2099
SHOP = "URI:urn:cardkeep:demo:shop"
LOCAL = "DNS:localhost,IP:127.0.0.1"

# Name: who it is for, what it may be used for, from when to when, who issued it.
CERTIFICATES = {
    "caller-expired": (SHOP, "clientAuth", PAST, NOW, "ca"),
    "caller-early": (SHOP, "clientAuth", FUTURE, SOON, "ca"),
    "caller-foreign": (SHOP, "clientAuth", NOW, SOON, "elsewhere"),
    "caller-itself": (SHOP, "clientAuth", NOW, SOON, "caller-itself"),
    "caller-server": (SHOP, "serverAuth", NOW, SOON, "ca"),
    "caller-nameless": ("DNS:shop", "clientAuth", NOW, SOON, "ca"),
    "caller-unknown": ("URI:urn:cardkeep:demo:qzxmark", "clientAuth", NOW, SOON, "ca"),
    "caller-double": (SHOP + ",URI:urn:cardkeep:acme:shop", "clientAuth", NOW, SOON, "ca"),
    "gateway-expired": (LOCAL, "serverAuth", PAST, NOW, "ca"),
    "gateway-early": (LOCAL, "serverAuth", FUTURE, SOON, "ca"),
    "gateway-foreign": (LOCAL, "serverAuth", NOW, SOON, "elsewhere"),
    "gateway-itself": (LOCAL, "serverAuth", NOW, SOON, "gateway-itself"),
    "gateway-client": (LOCAL, "clientAuth", NOW, SOON, "ca"),
    "gateway-other": ("DNS:elsewhere.example", "serverAuth", NOW, SOON, "ca"),
}

# Name of the destination: certificate, newest TLS.
GATEWAYS = {
    "odd": ("sandbox", None),
    "expired": ("gateway-expired", None),
    "early": ("gateway-early", None),
    "foreign": ("gateway-foreign", None),
    "itself": ("gateway-itself", None),
    "client-only": ("gateway-client", None),
    "other-13": ("gateway-other", None),
    "other-12": ("gateway-other", ssl.TLSVersion.TLSv1_2),
    "old": ("sandbox", ssl.TLSVersion.TLSv1_1),
    "plain": (None, None),
    "private": ("sandbox", None),
}


def _openssl(system, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=system.path("tls"), capture_output=True,
                          text=True, check=False)
    equal(done.returncode, 0, f"openssl {arguments[0]}: {done.stderr}")


def _write(system, name, text):
    with open(system.path("tls", name), "w", encoding="utf-8") as file:
        file.write(text)


def _key(system, name):
    _openssl(system, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")


def make_certificates(system):
    _write(system, "index.txt", "")
    _write(system, "ca.cnf", "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nserial = serial\n"
           "default_md = sha256\nunique_subject = no\npolicy = p\n[p]\ncommonName = supplied\n")
    _openssl(system, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=elsewhere", "-days", "1", "-keyout", "elsewhere.key",
             "-out", "elsewhere.pem")
    for name, (names, usage, start, end, issuer) in CERTIFICATES.items():
        _key(system, name)
        _write(system, f"{name}.ext", f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        by = ["-selfsign"] if issuer == name else ["-cert", f"{issuer}.pem"]
        _openssl(system, "ca", "-batch", "-config", "ca.cnf", "-notext", "-rand_serial", "-outdir",
                 ".", "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext",
                 "-startdate", f"{start}0101000000Z", "-enddate", f"{end}0101000000Z", *by,
                 "-keyfile", f"{issuer}.key")


class Gateway:
    """Listens from the start; a thread of its own serves one connection after another."""

    def __init__(self, system, certificate, newest):
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(system.path(f"tls/{certificate}.pem"),
                                         system.path(f"tls/{certificate}.key"))
            if newest == ssl.TLSVersion.TLSv1_1:
                self.context.set_ciphers("DEFAULT@SECLEVEL=0")
                self.context.minimum_version = ssl.TLSVersion.TLSv1
            if newest is not None:
                self.context.maximum_version = newest
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer_with([""])
        threading.Thread(target=self.serve, daemon=True).start()

    def answer_with(self, lines, then="close"):
        """To every request from now on; afterwards it closes, or holds the connection open."""
        self.said = "\r\n".join(lines).encode("latin-1")
        self.then = then
        self.received = 0

    def serve(self):
        while True:
            plain, _ = self.listener.accept()
            plain.settimeout(PATIENCE_S)
            try:
                with plain:
                    self.exchange(plain)
            except OSError:
                continue  # It was not trusted, or not waited for.

    def exchange(self, plain):
        if self.context is None:
            plain.recv(65536)  # A greeting of TLS.
            plain.sendall(self.said)
            return
        with self.context.wrap_socket(plain, server_side=True) as peer:
            data = b""
            while not _is_whole(data):
                more = peer.recv(65536)
                if not more:
                    return
                data += more
            self.received += 1
            peer.sendall(self.said)
            while self.then == "hold" and peer.recv(65536):
                pass


def _is_whole(data):
    head, mark, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return mark != b"" and len(body) >= int(line.split(b":")[1])
    return mark != b""


def add_destinations(system):
    """Of every gateway above, and of one whose name leads nowhere; to be called before a start."""
    shipped = os.path.join(ROOT, "relay/gateways")
    shutil.copytree(shipped, system.path("gateways"))
    system.edit("relay.yaml", shipped, system.path("gateways"))
    with open(system.path("gateways/odd.yaml"), "w", encoding="utf-8") as file:
        file.write("gateway: odd\nhosts: [localhost, nowhere.invalid]\ncredentials: caller\n"
                   "slots:\n  form:\n    \"payment_method_data[card][number]\": number\n"
                   "deadline: {connect: 2s, total: 2s}\n")
    made = {name: Gateway(system, *kind) for name, kind in GATEWAYS.items()}
    ports = {name: gateway.port for name, gateway in made.items()}
    text = "".join(f"  {name}:\n    gateway: odd\n"
                   f"    host: {'nowhere.invalid' if name == 'nowhere' else 'localhost'}\n"
                   f"    port: {port}\n    authorities: tls/ca.pem\n" +
                   ("" if name == "private" else "    allow: [\"127.0.0.0/8\", \"::1/128\"]\n")
                   for name, port in {**ports, "nowhere": 443}.items())
    system.edit("relay.yaml", "destinations:\n", "destinations:\n" + text)
    names = [*ports, "nowhere"]
    system.edit("policies.yaml", "  stripe-sandbox: {}\n",
                "  stripe-sandbox: {}\n" + "".join(f"  {name}: {{}}\n" for name in names))
    system.edit("policies.yaml", "[sandbox, stripe-sandbox]",
                f"[sandbox, stripe-sandbox, {', '.join(names)}]")
    return made
