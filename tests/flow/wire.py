# SPDX-License-Identifier: Apache-2.0
"""Connections whose every byte is the test's own: where a TLS record, a TCP segment or an HTTP/2
frame ends, what is never sent, what is never read, and how it all breaks off.
"""
import socket
import ssl
import struct
import time

import raw_h2
from harness import JSON, PATIENCE_S, check
from raw_h2 import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS

WINDOW_MAX = (1 << 31) - 1


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)] if size and data else [data]


class Wire:
    """TLS to one port, by hand.  `protocol` is h2 or http/1.1."""

    def __init__(self, system, who="shop", port="vault", protocol="http/1.1", tls13=True):
        context = raw_h2.context(system, who, protocol)
        if not tls13:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.socket = socket.create_connection(("127.0.0.1", system.ports[port]), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.plain = b""
        self.ended = False
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                check(self.more(), "the server speaks TLS")
        self.flush()

    def flush(self, segment=None, pause_s=0.0):
        """Sends what TLS has ready; a pause between segments is what makes them be segments."""
        for piece in pieces(self.outgoing.read(), segment):
            self.socket.sendall(piece)
            if pause_s:
                time.sleep(pause_s)

    def more(self):
        """Reads once from the network; False at its end."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if data:
            self.incoming.write(data)
        else:
            self.ended = True
        return bool(data)

    def send(self, data, record=None, segment=None, pause_s=0.0):
        """`record` bytes a TLS record, `segment` bytes of ciphertext a TCP segment."""
        for piece in pieces(data, record):
            self.tls.write(piece)
            if record:
                self.flush(segment, pause_s)
        self.flush(segment, pause_s)

    def fill(self):
        """More plain bytes into `plain`; False at the end of the connection."""
        while not self.ended:
            try:
                data = self.tls.read(1 << 16)
                self.plain += data
                return bool(data)
            except ssl.SSLWantReadError:
                self.flush()
                self.more()
            except ssl.SSLError:
                break
        self.ended = True
        return False

    def take(self, size):
        """Exactly so many plain bytes, or None at the end."""
        while len(self.plain) < size:
            if not self.fill():
                return None
        data, self.plain = self.plain[:size], self.plain[size:]
        return data

    def answer(self):
        """HTTP/1.1: the status of the next answer, which is read whole; None at the end."""
        while b"\r\n\r\n" not in self.plain:
            if not self.fill():
                return None
        head, self.plain = self.plain.split(b"\r\n\r\n", 1)
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self.take(int(line.split(b":")[1]))
        return int(head.split()[1])

    def until_closed(self):
        """Reads on until the server hangs up; what it said."""
        while self.fill():
            pass
        return self.plain

    def close(self):
        self.socket.close()

    def kill(self):
        """As a process that dies: unread bytes and all, with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(method, path, body=b"", size=None, **headers):
    """An HTTP/1.1 request's bytes; `size` promises more than there is."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost",
             f"Content-Length: {len(body) if size is None else size}"]
    headers = {"Content-Type": JSON, **{name.replace("_", "-"): value
                                        for name, value in headers.items()}}
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Http2:
    """HTTP/2 over a Wire, as much of it as a test needs.  Streams are numbered from 1, by 2."""

    def __init__(self, system, who="shop", port="vault", window=WINDOW_MAX, **more):
        self.wire = Wire(system, who, port, "h2", **more)
        self.stream = -1
        self.statuses = {}
        self.bodies = {}
        self.ended = set()
        self.wire.send(raw_h2.PREFACE + raw_h2.window_update(0, WINDOW_MAX - 65535) +
                       raw_h2.settings((raw_h2.HEADER_TABLE_SIZE, 0),
                                       (raw_h2.INITIAL_WINDOW_SIZE, window)))

    def head(self, method, path, end=False, **headers):
        """The frame that opens the next stream."""
        self.stream += 2
        names = {"content-type": JSON, **{name.replace("_", "-").lower(): value
                                          for name, value in headers.items()}}
        block = raw_h2.block(method, path, [(name, value.encode()) for name, value in names.items()
                                            if value is not None])
        return raw_h2.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), self.stream, block)

    def data(self, body, frame=None, end=True, stream=None):
        """The body's frames, `frame` bytes each."""
        parts = pieces(body, frame or 16384)
        return [raw_h2.frame(DATA, END_STREAM if end and index == len(parts) - 1 else 0,
                             stream or self.stream, part) for index, part in enumerate(parts)]

    def post(self, path, body, **headers):
        """The frames of a whole request, as one text."""
        return self.head("POST", path, **headers) + b"".join(self.data(body))

    def reset(self):
        return raw_h2.reset(self.stream)

    def step(self):
        """Reads one frame; False at the connection's end."""
        head = self.wire.take(9)
        if head is None:
            return False
        size, (kind, flags, stream) = int.from_bytes(head[:3], "big"), struct.unpack(">BBI",
                                                                                     head[3:])
        payload = self.wire.take(size)
        if payload is None:
            return False
        if kind == HEADERS:
            self.statuses[stream] = raw_h2.status_of(payload)
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == SETTINGS and not flags & ACK:
            self.wire.send(raw_h2.frame(SETTINGS, ACK))
        if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
            self.ended.add(stream)
        return True

    def answers(self, *streams):
        """The statuses of these streams, or of the newest, once each has ended."""
        streams = streams or (self.stream,)
        while not self.ended.issuperset(streams):
            check(self.step(), f"the connection lives until {streams} are answered")
        return [self.statuses.get(stream) for stream in streams]

    def ask(self, method, path, body, **headers):
        """One exchange; its status."""
        self.wire.send(self.head(method, path, **headers) + b"".join(self.data(body)))
        return self.answers()[0]
