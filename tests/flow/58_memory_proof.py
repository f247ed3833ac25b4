# SPDX-License-Identifier: Apache-2.0
"""Does the search of the other files find what is not wiped?  One call that wipes after another is
switched off in the running programs (unwiped.py), and what it was there for must be found.

Everything that is freed at the front and the relay is wiped once more as it is freed, so that each
is switched off together with that second wall.
"""
import json
import time

from harness import KEY, check, equal, payment
from scan import Watch, closed, drawn_text, may_look
from unwiped import Unwiped
from wire import Http2, Wire, request

TOKENS = "/v1/tokens"
BATCH = "/v1/tokens/batch"
SECOND_WALL = "base/wipe.c:free"
TRIES = 5
# What builds on these counts on room that is zero: a daemon without them may stumble.
CRIPPLING = ("base/buffer.c:", "base/frames.c:")


def prepare(system):
    system.unwiped = Unwiped(system)


def _batch(bodies):
    return b'{"cards": [' + b", ".join(bodies) + b"]}"


def _broken_batch(system, watch):
    """A long request with a short answer, which overwrites little of it."""
    body = _batch([watch.body("a card of a batch") for _ in range(60)])[:-1]
    one, two = Wire(system), Http2(system)
    one.send(request("POST", BATCH, body))
    equal([one.answer(), two.ask("POST", BATCH, body)], [400, 400], "refused")
    return one, two


def _leases(count):
    def leases(system, watch):
        two = Http2(system)
        body = _batch([watch.body("a card lent") for _ in range(count)])
        equal(two.ask("POST", BATCH, body), 200, "tokenizing")
        body = json.dumps({"leases": [{
            "submission_id": "sub_" + drawn_text(), "destination": "sandbox", "purpose": "payment",
            "on_behalf_of": "shop", "tokens": [one["token"]], "cvv_tokens": []}
            for one in json.loads(two.bodies[1])["results"]]}).encode()
        lent = Http2(system, "relay")
        equal(lent.ask("POST", "/v1/leases", body), 200, "leasing")
        return two, lent
    return leases


def _next_begun(system, watch):
    """The beginning of the next request keeps the buffer that holds both."""
    one, two = Wire(system), Http2(system)
    one.send(request("POST", TOKENS, watch.body("a card before another request")) + b"GET /v1/to")
    two.wire.send(two.post(TOKENS, watch.body("a card before another frame")) + b"\0\0\5\1")
    equal([one.answer()] + two.answers(), [201, 201], "taken")
    return one, two


def _header(system, watch):
    two, number = Http2(system), watch.card("a card in a header")
    equal(two.ask("GET", TOKENS + "/x", b"", X_Number=number), 404, "no such token")
    return (two,)


def _pays(**behaviour):
    """The card at the end of the last record that is made, or read, behind so much else that what
    comes after it is too short to take its place."""
    def pays(system, watch):
        relay = system.relay()
        for count in (40, 2, 10):
            card = json.loads(watch.body("a card paid with"))
            del card["purchase"]
            made = system.token(**card)
            fields = [(f"metadata[a{index}]", "x" * 490) for index in range(count)]
            answer = relay.post("/sandbox/v1/payment_intents", fields + payment(
                made["token"], made["cvv"]["token"]), headers={**KEY, **behaviour})
            check(answer.status < 500, f"{answer!r}")
        return (relay,)
    return pays


PROOFS = (
    (("libssl",), _broken_batch),
    (("base/wipe.c:h2o_buffer__do_free",), _broken_batch),
    (("base/wipe.c:h2o_mem_free_recycle",), _leases(1)),
    (("base/wipe.c:h2o_mem_clear_pool",), _leases(40)),
    ((), _header),  # The second wall itself.
    (("base/http_call.c:wipe_input",), _next_begun),
    (("base/http_answer.c:http_answer",), _next_begun),
    (("base/client_conn.c:conn_write",), _pays()),
    (("base/client_conn.c:conn_take",), _pays(**{"Sandbox-Behaviour": "echo"})),
    (("base/buffer.c:buffer_free",), _leases(1)),
    (("base/buffer.c:buffer_clear",), _leases(1)),
    (("base/buffer.c:buffer_grow",), _leases(40)),
    (("base/buffer.c:buffer_consume", "base/frames.c:sent_count"), _next_begun),
    (("base/frames.c:lent_take_back",), _next_begun),
    (("base/secret.c:slot_return",), _next_begun),
    (("keys/box.c:box_open",), _leases(1)),
    (("keys/box.c:cipher_append",), _next_begun),
)


def _close(wires):
    for wire in wires:
        (wire.wire if isinstance(wire, Http2) else wire).close()


def _missed(system, names, situation):
    """The first try that leaves something, and what; None when none does."""
    crippling = any(name.startswith(CRIPPLING) for name in names)
    for _ in range(TRIES):
        watch, wires = Watch(system), ()
        try:
            system.unwiped.switch_off(SECOND_WALL, *names)
            wires = situation(system, watch)
        except (AssertionError, OSError):
            check(crippling, f"{names}: it works without them")
        try:
            end = time.monotonic() + 0.5
            found = watch.search()
            while not found and time.monotonic() < end:
                found = watch.search()
        finally:
            system.unwiped.switch_on()
        _close(wires)
        if crippling:
            system.kill("vault")
            system.start("vault")
        if found:
            return found
    return None


def each_situation_leaves_nothing_while_all_of_them_wipe(system):
    for situation in dict.fromkeys(situation for _, situation in PROOFS):
        watch = Watch(system)
        wires = situation(system, watch)
        watch.clean()
        _close(wires)


def each_call_that_wipes_is_missed_when_it_does_nothing(system):
    if not may_look():
        closed(system)
        return
    silent = [names or (SECOND_WALL,) for names, situation in PROOFS
              if _missed(system, names, situation) is None]
    equal(silent, [], "calls that wipe, and nobody would miss them")


def and_all_is_wiped_again_once_they_are_switched_on(system):
    each_situation_leaves_nothing_while_all_of_them_wipe(system)
