# SPDX-License-Identifier: Apache-2.0
"""A gateway that gives back what it was sent, in every way in which HTTP can carry it, and breaks
off wherever it can.  The path's last part says how.
"""
import gzip
import socket
import socketserver
import ssl
import threading
import urllib.parse
import zlib

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def _whole(body, more=b""):
    return HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunks(body, size, trailer=b""):
    parts = [body[at:at + size] for at in range(0, len(body), size)]
    return (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" +
            b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) +
            b"0\r\n" + trailer + b"\r\n")


def _line(body):
    """As one header's value."""
    return urllib.parse.unquote_to_bytes(body.replace(b"\n", b""))[:4000]


WAYS = {
    "plain": _whole,
    "chunked": lambda body: _chunks(body, 7),
    "gzip": lambda body: _whole(gzip.compress(body), b"Content-Encoding: gzip\r\n"),
    "deflate": lambda body: _whole(zlib.compress(body), b"Content-Encoding: deflate\r\n"),
    "unknown": lambda body: _whole(body, b"Content-Encoding: aes128gcm\r\n"),
    "utf16": lambda body: _whole(body.decode().encode("utf-16-le")),
    "escapes": lambda body: _whole(b'"' + b"".join(b"\\u%04x" % one for one in body) + b'"'),
    "percent": lambda body: _whole(b"".join(b"%%%02x" % one for one in body)),
    "spaced": lambda body: _whole(b" ".join(bytes([one]) for one in body)),
    "header": lambda body: _whole(b"", b"X-Echo: " + _line(body) + b"\r\n"),
    "header name": lambda body: _whole(b"", b"x" + bytes(
        one for one in body if chr(one).isalnum()) + b": 1\r\n"),
    "reason": lambda body: b"HTTP/1.1 402 " + _line(body) + b"\r\nContent-Length: 0\r\n\r\n",
    "trailer": lambda body: _chunks(b"x", 1, b"X-Echo: " + _line(body) + b"\r\n"),
    "hints": lambda body: (b"HTTP/1.1 103 Early Hints\r\nLink: <" + _line(body) + b">\r\n\r\n" +
                           _whole(b"ok")),
    "location": lambda body: (b"HTTP/1.1 307 Elsewhere\r\nLocation: https://localhost/?" + body +
                              b"\r\nContent-Length: 0\r\n\r\n"),
    "cookie": lambda body: _whole(b"", b"Set-Cookie: a=" + _line(body) + b"\r\n"),
    "no http": lambda body: body + b"\r\n\r\n",
    "half a head": lambda body: HEAD + b"X-Echo: " + _line(body),
    "half a body": lambda body: _whole(body + body)[:-len(body)],
    "half a chunk": lambda body: _chunks(body + body, 1 << 20)[:-len(body)],
    "a broken chunk": lambda body: _chunks(body, 40).replace(b"28\r\n", b"zz\r\n", 1),
    "too large": lambda body: _whole(body * (1 + (9 << 20) // len(body))),
    "a second answer": lambda body: _whole(b"ok") + _whole(body),
    "nothing": lambda body: b"",
    "never": None,
}


class Echoing:
    """Listens from the start; `received` are the bodies.  `with Echoing(system) as gateway`."""

    def __init__(self, system):
        self.received = []
        self.over = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(system.path("tls/sandbox.pem"), system.path("tls/sandbox.key"))
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    with context.wrap_socket(self.request, server_side=True) as stream:
                        outer.serve(stream)
                except (OSError, ValueError):
                    pass  # The relay has hung up.

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, stream):
        """One request after another; what breaks off ends the connection."""
        lines = stream.makefile("rb")
        while True:
            target = lines.readline().split()
            if not target:
                return
            size = 0
            for line in iter(lines.readline, b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            body = lines.read(size)
            self.received.append(body)
            way = urllib.parse.unquote(target[1].decode().rsplit("/", 1)[1])
            if WAYS[way] is None:
                self.over.wait(60)
                return
            stream.sendall(WAYS[way](body))
            if way.startswith(("half", "no")):
                stream.shutdown(socket.SHUT_RDWR)
                return

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
