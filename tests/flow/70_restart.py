# SPDX-License-Identifier: Apache-2.0
"""Processes die; nothing that was acknowledged is lost, and what can come back by itself does."""
import http.client
import json
import os
import signal
import threading

from harness import MASTERCARD, check, equal, pay, problem, wait_until

TROUBLE = (OSError, http.client.HTTPException, json.JSONDecodeError)


def prepare(system):
    system.edit("vault.yaml", "in_flight: 8192", "in_flight: 16")
    system.edit("relay.yaml", "limits: {", "ledger: {keep: 1s}\nlimits: {")


class Load:
    """Tokenizes on several connections until told to stop; notes what was acknowledged."""

    def __init__(self, system, threads=4):
        self.system = system
        self.tokens = []
        self.broken = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        caller = self.system.vault()
        while not self.over.is_set():
            try:
                answer = caller.post("/v1/tokens", {"number": MASTERCARD, "exp_month": 1,
                                                    "exp_year": 2032})
            except TROUBLE:
                self.broken += 1
                caller.close()
                self.over.wait(0.05)
                continue
            if answer.status == 201:
                self.tokens.append(answer.json["token"])
            else:
                check(answer.status == 503, f"only 503 beside 201: {answer!r}")
                self.broken += 1

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.tokens

    def grow(self, by=50):
        size = len(self.tokens) + by
        wait_until(lambda: len(self.tokens) >= size, f"{by} more cards are tokenized")


def _all_there(system, tokens):
    caller = system.vault()
    for token in tokens:
        answer = caller.get(f"/v1/tokens/{token}")
        equal((answer.status, answer.json.get("last4")), (200, "4444"), f"{token}: {answer!r}")


def _comes_back(system, daemon, name, old):
    wait_until(lambda: system.part(daemon, name) not in (None, old), f"a new {name}")
    wait_until(lambda: system.is_ready(daemon), f"the {daemon} is ready by itself")


def a_dead_front_costs_connections_and_no_record_or_code(system):
    made = system.token(cvv="123")
    keeper = system.part("vault", "keeper")
    load = Load(system)
    load.grow()
    old = system.kill_part("vault", "front")
    _comes_back(system, "vault", "front", old)
    load.grow()
    tokens = load.end()
    equal(system.part("vault", "keeper"), keeper, "the keeper lives on")
    _all_there(system, tokens)
    equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "the code is still held")


def what_waits_for_a_keeper_that_dies_is_told_that_it_is_sealed(system):
    """Stopped first, so that a request waits for certain."""
    keeper = system.part("vault", "keeper")
    token = system.token()["token"]
    os.kill(keeper, signal.SIGSTOP)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(
        system.vault().post("/v1/tokens", {"number": MASTERCARD, "exp_month": 1,
                                           "exp_year": 2032}))),
               threading.Thread(target=lambda: answers.append(pay(system, token)))]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: b"in_flight 1" in system.metrics("relay", "/metrics").body or
                   b"cardkeep_relay_submissions 1" in system.metrics("relay", "/metrics").body,
                   "the payment is under way")
    finally:
        os.kill(keeper, signal.SIGKILL)
    for thread in threads:
        thread.join()
    _comes_back(system, "vault", "keeper", keeper)
    for answer in answers:
        equal(answer.status, 503, f"{answer!r}")
        check(answer.json["code"] in ("sealed", "vault_unavailable"), f"{answer!r}")
    check("sealed" in {answer.json["code"] for answer in answers}, "one of them sealed")


def more_than_may_wait_is_told_that_the_vault_is_busy(system):
    keeper = system.part("vault", "keeper")
    body = {"number": MASTERCARD, "exp_month": 1, "exp_year": 2032}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(
        system.vault().post("/v1/tokens", body))) for _ in range(24)]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: answers, "some are answered at once")
    finally:
        os.kill(keeper, signal.SIGCONT)
    for thread in threads:
        thread.join()
    equal({answer.status for answer in answers}, {201, 503}, "some wait, some are sent away")
    for answer in answers:
        if answer.status == 503:
            problem(answer, 503, "busy")
            check(answer.header("Retry-After"), "when to ask again")
    _all_there(system, [one.json["token"] for one in answers if one.status == 201])


def a_dead_keeper_loses_nothing_acknowledged(system):
    made = system.token(cvv="123")
    load = Load(system)
    load.grow()
    old = system.kill_part("vault", "keeper")
    _comes_back(system, "vault", "keeper", old)
    load.grow()
    tokens = load.end()
    check(load.broken > 0, "the load felt it")
    _all_there(system, tokens)
    problem(pay(system, made["token"], made["cvv"]["token"]), 410, "cvv_lost")
    equal(system.verify_store("vault").returncode, 0, "the log is whole")


def a_dead_vault_loses_nothing_acknowledged(system):
    load = Load(system)
    load.grow()
    system.kill("vault")
    tokens = load.end()
    system.start("vault")
    _all_there(system, tokens)
    equal(system.verify_store("vault").returncode, 0, "the log is whole")


def what_was_acknowledged_is_in_the_log_too(system):
    start = system.audit_size()
    load = Load(system)
    load.grow()
    system.kill("vault")
    tokens = load.end()
    system.start("vault")
    logged = {one.get("object") for one in system.audit(start=start)
              if one["event"] == "card.tokenize"}
    equal(set(tokens) - logged, set(), "tokens without an entry")
    _all_there(system, logged)  # Nor is there an entry without its token.


def a_dead_signer_comes_back_and_goes_on_signing(system):
    for daemon in ("vault", "relay"):
        old = system.kill_part(daemon, "signer")
        token = system.token()["token"]
        equal(pay(system, token).status, 200, "work goes on meanwhile")
        _comes_back(system, daemon, "signer", old)
        system.verified(daemon)


def a_dead_relay_leaves_its_payment_in_doubt_and_its_code_used(system):
    made = system.token(cvv="123")
    key = {"Idempotency-Key": "restart-in-doubt", "Sandbox-Delay-Ms": "8000"}
    system.forget_received()
    failures = []

    def slow():
        try:
            pay(system, made["token"], made["cvv"]["token"], "slow", headers=key)
        except TROUBLE as failure:
            failures.append(failure)
    thread = threading.Thread(target=slow)
    thread.start()
    wait_until(system.received, "the payment is at the gateway")
    old = system.kill_part("relay", "relay")
    thread.join()
    check(failures, "its caller lost the connection")
    _comes_back(system, "relay", "relay", old)
    problem(pay(system, made["token"], made["cvv"]["token"], "slow", headers=key), 409,
            "in_doubt")
    equal(len(system.received()), 1, "sent once")
    answer = pay(system, made["token"], made["cvv"]["token"])
    check(answer.status in (409, 410), f"the code is not used a second time: {answer!r}")


def answers_on_record_survive_the_relay(system):
    token = system.token()["token"]
    key = {"Idempotency-Key": "restart-replay"}
    first = pay(system, token, headers=key)
    system.kill("relay")
    system.start("relay")
    again = pay(system, token, headers=key)
    equal((again.body, again.header("Idempotency-Replayed")), (first.body, "true"), "the answer")


def an_attempt_is_kept_as_long_as_it_is_said(system):
    def swept():
        text = system.metrics("relay", "/metrics").body.decode()
        return int(text.split("\ncardkeep_relay_ledger_swept_rows_total ")[1].split()[0])
    before = swept()
    key = {"Idempotency-Key": "restart-swept"}
    token = system.token()["token"]
    first = pay(system, token, headers=key)
    wait_until(lambda: swept() > before, "its row had its time")
    again = pay(system, token, headers=key)
    equal((again.body, again.header("Idempotency-Replayed")), (first.body, "true"),
          "its key has a time of its own")


def both_stop_in_order_under_load(system):
    load = Load(system)
    load.grow()
    system.stop("vault")
    tokens = load.end()
    system.start("vault")
    _all_there(system, tokens)
