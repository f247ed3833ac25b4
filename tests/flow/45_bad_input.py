# SPDX-License-Identifier: Apache-2.0
"""Bad input, as data: each file of bad_input/ is a table of cases, and cases.py says what is asked
of every one of them.
"""
import os
import socket
import time

from cases import FOLDER, Table, World
from gateways import add_destinations, make_certificates
from harness import JSON, VISA, check, equal, problem, together
from raw import Raw, head

# What the daemons give a request to come in (base/http.h), and what a busy machine adds.
REQUEST_S, SPARE_S = 10, 12

_worlds = {}
_gateways = {}
_asked = set()


def prepare(system):
    make_certificates(system)
    _gateways.update(add_destinations(system))


def _ask(system, name):
    if system not in _worlds:
        _worlds[system] = World(system)
    _asked.add(name)
    Table(_worlds[system], name, _gateways).run()


def bodies_that_are_no_json_or_no_card_are_refused(system):
    _ask(system, "vault_json.yaml")


def fields_are_refused_by_name_one_beyond_their_limits(system):
    _ask(system, "vault_fields.yaml")


def numbers_dates_and_codes_that_no_card_has_are_refused(system):
    _ask(system, "vault_cards.yaml")


def what_stands_around_a_body_is_refused_as_exactly(system):
    _ask(system, "vault_requests.yaml")


def framing_that_two_readers_could_understand_differently_ends_the_connection(system):
    _ask(system, "framing.yaml")


def tokens_that_are_not_understood_or_stand_elsewhere_send_nothing(system):
    _ask(system, "relay_slots.yaml")


def paths_headers_and_keys_lead_nowhere_but_to_their_gateway(system):
    _ask(system, "relay_requests.yaml")


def callers_who_cannot_show_who_they_are_get_nothing(system):
    _ask(system, "callers.yaml")


def gateways_that_answer_nonsense_or_are_not_themselves_are_told_apart(system):
    _ask(system, "gateways.yaml")


def what_is_too_large_is_answered_though_its_client_sends_on(system):
    _ask(system, "sizes.yaml")


def all_of_it_is_refused_over_http2_by_the_same_codes(system):
    for name in ("vault_json", "vault_fields", "vault_cards", "vault_requests", "relay_slots",
                 "relay_requests", "callers", "sizes"):
        Table(_worlds[system], f"{name}.yaml", _gateways).run_by_frames()


def _card_head(daemon, size, **more):
    path = "/v1/tokens" if daemon == "vault" else "/sandbox/v1/json/payments"
    return head("POST", path, {"Host": "localhost", "Content-Type": JSON, "Content-Length": size,
                               **more})


def _too_late(system, daemon, start, rest):
    """Sends the start at once and the rest a byte at a time; 408, in time and not before."""
    with Raw(system.ports[daemon], system.context("shop"), 2 * (REQUEST_S + SPARE_S)) as raw:
        begun = time.monotonic()
        raw.send(start)
        for at in range(len(rest)):
            if raw.is_answered(0.3):
                break
            raw.send(rest[at:at + 1])
        answer = raw.answer()
        took = time.monotonic() - begun
        check(answer is not None, f"{daemon} says nothing to {start!r}")
        problem(answer, 408, "deadline")
        equal(answer.header("Connection"), "close", "what becomes of the connection")
        check(raw.ended(), "it is closed, in order")
        check(REQUEST_S - 1 < took < REQUEST_S + SPARE_S, f"{daemon} took {took:.1f} s")


def _silent(system, daemon):
    """A connection without a word of TLS is closed."""
    with socket.create_connection(("127.0.0.1", system.ports[daemon])) as plain:
        plain.settimeout(2 * (REQUEST_S + SPARE_S))
        equal(plain.recv(1), b"", "what it hears")


def what_comes_too_slowly_is_told_so_and_closed(system):
    slow = b"x" * 100
    begun = head("GET", "/v1/tokens/x", {"Host": "localhost"})[:-2]
    works = []
    for daemon in ("vault", "relay"):
        for start, rest in ((begun, b""), (begun + b"X-Slow: ", slow), (b"G", b""),
                            (_card_head(daemon, 100), b""), (_card_head(daemon, 100), slow),
                            (_card_head(daemon, 100) + b'{"number": "' + VISA.encode(), b""),
                            (head("POST", "/v1/tokens", {"Host": "localhost", "Content-Type": JSON,
                                                         "Transfer-Encoding": "chunked"}) +
                             b"64\r\n{", b"")):
            works.append(lambda daemon=daemon, start=start, rest=rest: _too_late(
                system, daemon, start, rest))
        works.append(lambda daemon=daemon: _silent(system, daemon))
    works.append(lambda: [system.token() for _ in range(20)])  # Others are served meanwhile.
    together(*works)


def what_breaks_off_in_the_middle_leaves_nothing(system):
    starts = {daemon: system.audit_size(daemon) for daemon in ("vault", "relay")}
    system.forget_received()
    body = b'{"number": "' + VISA.encode() + b'", "exp_month": 12, "exp_year": 2031}'
    for daemon in ("vault", "relay"):
        whole = _card_head(daemon, len(body), **{"Request-Id": "bad-broken"}) + body
        for end in (1, 20, len(whole) - len(body), len(whole) - 10, len(whole) - 1):
            for in_order in (True, False):
                with Raw(system.ports[daemon], system.context("shop")) as raw:
                    raw.send(whole[:end])
                    raw.leave(in_order)
    token = system.token()["token"]
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "a good request")
    for daemon, start in starts.items():
        found = [entry for entry in system.audit(daemon, start)
                 if entry.get("request_id") == "bad-broken"]
        equal(found, [], f"entries of the {daemon}")
    equal(system.received(), [], "what the gateway got")


def no_table_is_left_out(system):
    check(system in _worlds, "the tables were asked of this system")
    equal(sorted(os.listdir(FOLDER)), sorted(_asked), "tables that were asked")
