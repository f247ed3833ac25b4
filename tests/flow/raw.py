# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 byte for byte over TLS: what no client library would send, at the pace a test wants.

What comes back is read strictly: a status line, header lines, and a body as long as it says.
"""
import http.client
import io
import re
import select
import socket
import ssl
import struct

from harness import PATIENCE_S, Answer, check

HEAD_BYTES_MAX = 64 * 1024


class Raw:
    """One connection.  `with Raw(port, context) as raw`."""

    def __init__(self, port, context, patience_s=PATIENCE_S):
        plain = socket.create_connection(("127.0.0.1", port), timeout=patience_s)
        try:
            # Small pieces are to leave as they are written.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise
        self.held = b""  # Read, and not yet part of an answer.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """False where the other side hung up before all of it was taken."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return False

    def is_answered(self, patience_s):
        """True when there is something to read, or an end, within so long."""
        return bool(self.held or self.socket.pending() or
                    select.select([self.socket], [], [], patience_s)[0])

    def leave(self, in_order):
        """Closes, or resets the connection."""
        if not in_order:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def receive(self):
        """What comes next; empty at the end, whichever way TLS spells it."""
        try:
            return self.socket.recv(65536)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def more(self):
        data = self.receive()
        self.held += data
        return data != b""

    def answer(self, method="GET"):
        """The next answer; None where the connection ended before it began.  A reset is raised."""
        while b"\r\n\r\n" not in self.held:
            check(len(self.held) < HEAD_BYTES_MAX, "a head has an end")
            if not self.more():
                check(self.held == b"", f"half a head: {self.held!r}")
                return None
        head, _, self.held = self.held.partition(b"\r\n\r\n")
        first, _, lines = head.partition(b"\r\n")
        status = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\x20-\x7e]*", first)
        check(status, f"no status line: {first!r}")
        headers = http.client.parse_headers(io.BytesIO(lines + b"\r\n\r\n"))
        size = 0 if method == "HEAD" else int(headers.get("Content-Length", "0"))
        while len(self.held) < size:
            check(self.more(), f"half a body: {self.held!r}")
        body, self.held = self.held[:size], self.held[size:]
        return Answer(int(status.group(1)), headers, body)

    def ended(self):
        """True when the other side closed, in order and with nothing further said."""
        try:
            return self.held == b"" and self.receive() == b""
        except (ConnectionResetError, TimeoutError):
            return False


def head(method, path, headers, version="HTTP/1.1"):
    """A request's head; values are latin-1, a list is one line each."""
    lines = [f"{method} {path} {version}"]
    for name, value in headers.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append(f"{name}: {one}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
