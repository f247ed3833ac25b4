# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand (RFC 9113, RFC 7541): any frame in any order, for what no client library sends.

Header blocks are literals without Huffman and without the dynamic table, so that each stands for
itself.  Nothing here waits for anything that it was not asked to wait for.
"""
import socket
import ssl
import struct
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = \
    0, 1, 3, 7, 8, 11
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


# ---- Frames ----

def frame(kind, flags=0, stream=0, payload=b"", size=None):
    """`size` claims another length than the payload has."""
    size = len(payload) if size is None else size
    return struct.pack(">BHBBI", size >> 16, size & 0xffff, kind, flags, stream) + payload


def settings(*pairs):
    """Of (name, value); none: an empty frame."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def priority(stream, dependency, weight=15, exclusive=False):
    return frame(PRIORITY, 0, stream,
                 struct.pack(">IB", dependency | (0x80000000 if exclusive else 0), weight))


# ---- HPACK ----

def integer(value, bits, first=0):
    """RFC 7541 section 5.1; `first` holds the bits above the prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = [first | most]
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def text(value):
    value = value.encode("latin-1") if isinstance(value, str) else value
    return integer(len(value), 7) + value


def indexed(index):
    """A whole header out of the static (1-61) or the dynamic (from 62) table."""
    return integer(index, 7, 0x80)


def literal(name, value, keep=False):
    """`keep`: it also goes into the dynamic table."""
    return (b"\x40" if keep else b"\x00") + text(name) + text(value)


def table_size(size):
    return integer(size, 5, 0x20)


def block(method, path, headers=(), authority="localhost"):
    """A request's header block; `headers` are pairs with lower-case names."""
    return b"".join(literal(*pair) for pair in [(":method", method), (":scheme", "https"),
                                                (":path", path), (":authority", authority),
                                                *headers])


def request(stream, method="GET", path="/", headers=(), body=None, ends=True):
    """HEADERS and, with a body, one DATA frame; not `ends`: more body is to follow."""
    flags = END_HEADERS | (END_STREAM if ends and body is None else 0)
    out = frame(HEADERS, flags, stream, block(method, path, headers))
    if body is not None:
        out += frame(DATA, END_STREAM if ends else 0, stream, body)
    return out


def status_of(payload):
    """The status at the head of an answer's block, as servers write it: first, and no Huffman."""
    common = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
    if payload[0] in common:
        return common[payload[0]]
    if payload[0] & 0x0f == 8 and payload[1] == 3:
        return int(payload[2:5])
    raise ValueError(f"no status at the head of {payload[:8]!r}")


# ---- Connections ----

def context(system, who, alpn="h2"):
    """TLS as this principal, for one protocol; None: without a certificate."""
    made = ssl.create_default_context(cafile=system.path("tls/ca.pem"))
    made.set_alpn_protocols([alpn])
    if who is not None:
        name = "relay/relay-client" if who == "relay" else who
        made.load_cert_chain(system.path(f"tls/{name}.pem"), system.path(f"tls/{name}.key"))
    return made


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload

    @property
    def code(self):
        """The error code of RST_STREAM and GOAWAY."""
        at = 4 if self.kind == GOAWAY else 0
        return struct.unpack(">I", self.payload[at:at + 4])[0]

    def __repr__(self):
        return f"<{self.kind} {self.flags:#x} of {self.stream}: {self.payload[:60]!r}>"


class Connection:
    """`alpn` http/1.1 gives bytes over TLS without any frame; the preface goes out by itself."""

    def __init__(self, port, made, first=PREFACE + settings(), timeout=20):
        raw = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = made.wrap_socket(raw, server_hostname="localhost")
        except BaseException:
            raw.close()
            raise
        self.input = b""
        self.closed = False
        # What answer() has read so far, by stream.
        self.statuses, self.bodies, self.resets, self.ended = {}, {}, {}, set()
        self.goaway = None  # Its code, once it was read by answer().
        if first and self.sock.selected_alpn_protocol() == "h2":
            self.send(first)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()
        self.closed = True

    def send(self, data):
        """False once the peer has hung up."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.closed = True
            return False

    def receive(self, patience_s):
        """What comes next, as bytes; empty when nothing did or the peer hung up (`closed`)."""
        self.sock.settimeout(max(patience_s, 0.001))
        try:
            got = self.sock.recv(65536)
        except TimeoutError:
            return b""
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            got = b""
        finally:
            self.sock.settimeout(20)
        self.closed = self.closed or not got
        return got

    def next_frame(self, patience_s=20):
        """The next frame; None when the peer hung up or said nothing for so long."""
        end = time.monotonic() + patience_s
        while True:
            if len(self.input) >= 9:
                high, low, kind, flags, stream = struct.unpack(">BHBBI", self.input[:9])
                size = 9 + (high << 16 | low)
                if len(self.input) >= size:
                    payload, self.input = self.input[9:size], self.input[size:]
                    return Frame(kind, flags, stream & 0x7fffffff, payload)
            left = end - time.monotonic()
            if self.closed or left <= 0:
                return None
            self.input += self.receive(left)

    def frames(self, patience_s=20):
        """Each frame until the peer hangs up or is silent for so long."""
        while True:
            found = self.next_frame(patience_s)
            if found is None:
                return
            yield found

    def answer(self, stream, patience_s=20):
        """(status, body) of a stream, whatever the order of answers; status None when it was reset
        (`resets` has its code) or the peer hung up before.  Nothing is acknowledged."""
        end = time.monotonic() + patience_s
        while stream not in self.ended:
            found = self.next_frame(end - time.monotonic())
            if found is None:
                return None, b"".join(self.bodies.get(stream, []))
            self._note(found)
        status = None if stream in self.resets else self.statuses.get(stream)
        return status, b"".join(self.bodies.get(stream, []))

    def _note(self, found):
        if found.kind == HEADERS:
            self.statuses.setdefault(found.stream, status_of(found.payload))
        elif found.kind == DATA:
            self.bodies.setdefault(found.stream, []).append(found.payload)
        elif found.kind == RST_STREAM:
            if found.stream not in self.ended:
                self.resets[found.stream] = found.code
        elif found.kind == GOAWAY:
            self.goaway = found.code
        if found.kind == RST_STREAM or (found.kind in (HEADERS, DATA) and
                                        found.flags & END_STREAM):
            self.ended.add(found.stream)

    def hung_up(self, patience_s=20):
        """Reads until the peer has closed; False if it does not in time."""
        end = time.monotonic() + patience_s
        while not self.closed and time.monotonic() < end:
            self.receive(end - time.monotonic())
        return self.closed
