# SPDX-License-Identifier: Apache-2.0
"""Calls are cut short or fail, memory runs out, clocks jump, everything is full: each request is
whole, or refused by its name."""
import threading
import time
from collections import Counter

import faults
from harness import CARDS, VISA, check, equal, pay, problem, together, wait_until
from rounds import rounds

SOAK = True
BODY = {"number": VISA, "exp_month": 12, "exp_year": 2031}
CELLS = 24
UNDER_WAY = 8
SHORT = ("read,recv,write,send EINTR socket: 7", "read,write EINTR data/ 7",
         "read,recv,write,send short socket: 5", "write short data/ 5", "accept EINTR socket: 2")

failing = {}


def prepare(system):
    failing.update(faults.install(system))
    system.edit("vault.yaml", "in_flight: 8192", f"in_flight: 8192, cvv_cells: {CELLS}")
    system.edit("relay.yaml", "in_flight: 8192", f"in_flight: {UNDER_WAY}")


def _comes_back(system, daemon):
    wait_until(lambda: system.is_ready(daemon), f"the {daemon} is ready by itself:\n"
               f"{system.log(daemon)[-1500:]}", 40)


def calls_that_are_interrupted_or_do_little_change_nothing(system):
    with failing["vault"].on(*SHORT), failing["relay"].on(*SHORT):
        tokens = []
        for _ in rounds(5):
            made = system.token(cvv="123")
            equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "a payment")
            tokens.append(made["token"])
        system.kill("vault")
        system.start("vault")
        for token in tokens:
            equal(system.vault().get(f"/v1/tokens/{token}").json["last4"], "4242", token)
        system.verified("vault")
        system.verified("relay")


def a_listener_without_descriptors_waits_and_does_not_spin(system):
    for code in ("EMFILE", "ENFILE"):
        answers = []
        with failing["vault"].on(f"accept {code} socket:"):
            before, began = failing["vault"].hits(), time.monotonic()
            calling = threading.Thread(
                target=lambda: answers.append(system.vault().post("/v1/tokens", BODY)))
            calling.start()
            wait_until(lambda: failing["vault"].hits() >= before + 6, "it asks again")
            took_s = time.monotonic() - began
            check(took_s > 0.3, f"six times in {took_s:.3f} s")
            equal(answers, [], "nobody was accepted")
        calling.join()
        equal(answers[0].status, 201, f"{code}: who waited is served")


def a_process_that_cannot_be_started_is_tried_again(system):
    for rule in ("fork EAGAIN *", "socketpair EMFILE *"):
        with failing["vault"].on(rule):
            before = failing["vault"].hits()
            old = system.kill_part("vault", "front")
            wait_until(lambda: failing["vault"].hits() >= before + 2, "it is tried again")
        wait_until(lambda: system.part("vault", "front") not in (None, old), "a new front")
        _comes_back(system, "vault")
        system.token()


def without_randomness_nothing_is_made(system):
    made = system.token()
    old = system.part("vault", "keeper")
    with failing["vault"].on("random ENOSYS @keeper"):
        def ended():
            try:
                answer = system.vault().post("/v1/tokens", BODY)
                check(answer.status in (201, 503), f"made, or refused: {answer!r}")
            except OSError:
                pass  # The front left with its keeper.
            return system.part("vault", "keeper") != old
        wait_until(ended, "the keeper ends rather than go on")
    _comes_back(system, "vault")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4242", "the token")


def a_clock_that_jumps_ends_what_is_over_and_nothing_else(system):
    made = system.token(cvv="123")
    ends = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 1800))
    short = system.token(CARDS[1], expires_at=ends)
    with failing["vault"].on("clock 3600 @keeper"):
        problem(system.vault().get(f"/v1/tokens/{short['token']}"), 410, "expired")
        problem(pay(system, made["token"], made["cvv"]["token"]), 410, "cvv_expired")
        equal(pay(system, made["token"]).status, 200, "a payment")
    with failing["vault"].on("clock -86400 @keeper"), failing["relay"].on("clock -86400 @relay"):
        again = system.token(cvv="123")
        equal(pay(system, again["token"], again["cvv"]["token"]).status, 200, "a day back")
        problem(pay(system, again["token"], again["cvv"]["token"]), 410, "cvv_consumed")
        system.verified("vault")
        system.verified("relay")
    equal(pay(system, again["token"]).status, 200, "and forth")
    system.verified("vault")


def a_log_that_never_rests_is_signed_all_along(system):
    """A minute passes between one checkpoint and another, eight seconds at a time."""
    token = system.token()["token"]
    over = threading.Event()
    seen = Counter()

    def read():
        caller = system.vault()
        while not over.is_set():
            seen[caller.get(f"/v1/tokens/{token}").status] += 1

    def signed():
        return int(system.vault("auditor").get("/v1/audit/checkpoint").body.split(b"\n")[1])
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for step in range(1, 9):
            failing["vault"].set(f"uptime {8 * step} @keeper")
            size = signed()
            wait_until(lambda size=size: signed() > size, "the next checkpoint")
    finally:
        over.set()
        for reader in readers:
            reader.join()
        failing["vault"].clear()
        system.stop("vault")  # Its clock would stand still for that minute.
        system.start("vault")
    equal(list(seen), [200], "every answer")


def memory_that_runs_out_is_never_the_callers_fault(system):
    token = system.token()["token"]
    seen = set()
    for turn in rounds(6):
        for daemon, thread in (("vault", "keeper"), ("vault", "front"), ("relay", "relay")):
            with failing[daemon].on(f"alloc ENOMEM @{thread} {3 + turn * 2}"):
                try:
                    answer = pay(system, token) if daemon == "relay" else system.vault().post(
                        "/v1/tokens", {**BODY, "metadata": {"turn": str(turn)}})
                except OSError:
                    continue  # There was none for the connection.
                check(answer.status in (200, 201, 503), f"done, or busy: {answer!r}")
                seen.add(answer.status)
            _comes_back(system, daemon)
    check(503 in seen, f"it was refused at least once: {seen}")
    for daemon in ("vault", "relay"):
        _comes_back(system, daemon)
        system.verified(daemon)


def more_codes_than_there_are_cells_are_refused_as_busy(system):
    system.stop("vault")
    system.start("vault")
    made = [system.token(cvv="123") for _ in range(CELLS)]
    answer = system.vault().post("/v1/tokens", {**BODY, "cvv": "123"})
    problem(answer, 503, "busy")
    check(answer.header("Retry-After"), "when to ask again")
    equal(pay(system, made[0]["token"], made[0]["cvv"]["token"]).status, 200, "a payment")
    # Its settlement, which frees the cell, comes behind its answer.
    wait_until(lambda: system.vault().post("/v1/tokens", {**BODY, "cvv": "123"}).status == 201,
               "the cell that it freed is used again")


def more_payments_than_the_relay_takes_are_refused_as_busy(system):
    token = system.token()["token"]
    count = 3 * UNDER_WAY
    answers = together(*[lambda: pay(system, token, behaviour="slow",
                                     headers={"Sandbox-Delay-Ms": "1500"})] * count)
    busy = [one for one in answers if one.status == 503]
    equal({one.status for one in answers}, {200, 503}, "some pay, some are sent away")
    for one in busy:
        problem(one, 503, "busy")
        check(one.header("Retry-After"), "when to ask again")
    equal(pay(system, token).status, 200, "and then it takes more")
