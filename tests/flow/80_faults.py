# SPDX-License-Identifier: Apache-2.0
"""Disks fill up and break, calls fail: what is asked then is refused by its name, and what was said
before holds; once the trouble is over work goes on by itself."""
import contextlib
import json
import os
import re
import select
import threading
import time
import urllib.parse

import faults
import harness
from harness import FORM, JSON, KEY, check, equal, outcome, pay, payment, problem, wait_until

STORE = "open,write,sync,grow,rename,mkdir {} data/vault/"
LEDGER = "open,write,sync,grow,rename,mkdir {} data/relay/"
BODY = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2031}

failing = {}


def prepare(system):
    failing.update(faults.install(system))
    system.edit("policies.yaml", "  acme: {}\n", "  acme: {cvv_lifetime: 2s}\n")
    os.umask(0)  # What the daemons keep to themselves must not rest on whoever starts them.


def _readyz(system, daemon):
    try:
        return system.metrics(daemon, "/readyz")
    except OSError:
        return None


def _is_unready(system, daemon, *words):
    def said():
        answer = _readyz(system, daemon)
        return answer is not None and answer.status == 503 and all(
            word in answer.body.decode() for word in words)
    wait_until(said, f"the {daemon}'s /readyz says {words}")


def _comes_back(system, daemon):
    wait_until(lambda: system.is_ready(daemon), f"the {daemon} is ready by itself:\n"
               f"{system.log(daemon)[-1500:]}", 40)


def _says(system, daemon, event):
    """A line of this event that was not there when the fault began."""
    seen = system.log(daemon).count(event)
    wait_until(lambda: system.log(daemon).count(event) > seen, f"the {daemon} says {event}")


def _rests(system, daemon):
    """Nothing is left to be written: the next sync is of what comes next."""
    known = [-1, 0.0]

    def quiet():
        if known[0] != failing[daemon].hits():
            known[:] = failing[daemon].hits(), time.monotonic()
        return time.monotonic() - known[1] > 1
    failing[daemon].set(f"sync short data/{daemon}/")  # Which counts them, and lets them be.
    wait_until(quiet, f"the {daemon} has signed what there was")


class _Asked:
    """A request whose answer is not waited for."""

    def __init__(self, caller):
        self.caller = caller
        caller.get("/nowhere")  # The handshake and what follows it is over.

    def send(self, path, body, headers):
        self.caller.connection.request("POST", path, body=body, headers=headers)

    def is_answered(self):
        socket = self.caller.connection.sock
        return socket.pending() > 0 or bool(select.select([socket], [], [], 0)[0])

    def answer(self):
        raw = self.caller.connection.getresponse()
        raw.read()
        self.caller.close()
        return raw.status


@contextlib.contextmanager
def _synced_late(system, daemon, asked):
    """Within it a sync begins and does not end, and `asked` has no answer."""
    held = failing[daemon].hits()
    with failing[daemon].on(f"sync hold data/{daemon}/"):
        yield
        wait_until(lambda: failing[daemon].hits() > held, "a sync waits")
        for _ in range(10):  # So often the one who would answer has looked at what there is.
            system.metrics(daemon, "/metrics")
        check(not asked.is_answered(), "answered before it is on the disk")


def the_vault_answers_nothing_that_is_not_on_the_disk(system):
    for _ in range(3):
        asked = _Asked(system.vault())
        _rests(system, "vault")
        with _synced_late(system, "vault", asked):
            asked.send("/v1/tokens", json.dumps(BODY), {"Content-Type": JSON})
        equal(asked.answer(), 201, "answered once it is")


def _vault_refuses_until_the_disk_is_back(system, rule):
    made = system.token(cvv="123")
    keeper = system.part("vault", "keeper")
    size = system.audit_size()
    with failing["vault"].on(rule):
        problem(system.vault().post("/v1/tokens", BODY), 503, "store_unavailable")
        problem(system.vault().get(f"/v1/tokens/{made['token']}"), 503, "store_unavailable")
        _is_unready(system, "vault", "the store takes no writes")
    _comes_back(system, "vault")
    equal(system.part("vault", "keeper"), keeper, "the keeper lives on")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4242", "the token")
    check(system.audit_size() >= size, "no entry is lost")
    equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "the code is still held")
    system.verified("vault")


def a_full_disk_stops_the_vault_and_loses_neither_token_nor_code(system):
    _vault_refuses_until_the_disk_is_back(system, STORE.format("ENOSPC"))


def a_write_error_stops_the_vault_and_loses_neither_token_nor_code(system):
    _vault_refuses_until_the_disk_is_back(system, STORE.format("EIO"))


def a_failed_sync_stops_the_vault_and_loses_neither_token_nor_code(system):
    """What was written may come back with the store, though it was refused: then it is whole."""
    _vault_refuses_until_the_disk_is_back(system, "sync EIO data/vault/")


def a_code_s_time_ends_though_the_disk_is_full(system):
    def held():
        return int(re.search(r"^cardkeep_vault_cvv_held (\d+)$", system.metrics(
            "vault", "/metrics").body.decode(), re.M).group(1))
    wait_until(lambda: held() == 0, "those of before are settled")
    system.token(who="other", cvv="123")
    wait_until(lambda: held() == 1, "it is held")
    with failing["vault"].on(STORE.format("ENOSPC")):
        problem(system.vault().post("/v1/tokens", BODY), 503, "store_unavailable")
        wait_until(lambda: held() == 0, "it is gone")
        _is_unready(system, "vault", "the store takes no writes")
    _comes_back(system, "vault")


def a_change_of_a_key_that_was_refused_is_not_made_later(system):
    """The keys are read again from the disk, so that codes are lost."""
    security = system.vault("security")
    active = "/v1/keys?tenant=demo&purpose=card&state=active"
    key = next(one for one in security.get(active).json["keys"] if one["level"] == "dek")
    with failing["vault"].on(STORE.format("ENOSPC")):
        problem(security.post(f"/v1/keys/{key['id']}/suspend"), 503, "store_unavailable")
        _is_unready(system, "vault", "the store takes no writes")
    _comes_back(system, "vault")
    system.token()
    equal([entry for entry in system.audit() if entry["event"] == "key.suspend"], [], "its entries")
    # A new opening begins a new epoch, which ends that of the key.
    equal(security.get(f"/v1/keys/{key['id']}").json["state"], "deactivated", "the key's state")
    system.verified("vault")


def _borrow(system, submission, made):
    want = {"submission_id": submission, "destination": "sandbox", "purpose": "payment",
            "on_behalf_of": "shop", "tokens": [made["token"]],
            "cvv_tokens": [made["cvv"]["token"]]}
    return system.vault("relay").post("/v1/leases", {"leases": [want]},
                                      shows_cards=True).json["results"][0]


def a_code_that_is_out_again_does_not_come_back_from_an_earlier_lease(system):
    """That nothing was sent could not be written: the relay says it until it is."""
    made = system.token(cvv="123")
    first = _borrow(system, "sub_faults1", made)
    given_back = {"settlements": [{"lease_id": first["lease_id"], "outcome": "not_sent"}]}
    with failing["vault"].on(STORE.format("EIO")):
        problem(system.vault("relay").post("/v1/settlements", given_back), 503,
                "store_unavailable")
        _is_unready(system, "vault", "the store takes no writes")
    _comes_back(system, "vault")
    equal(_borrow(system, "sub_faults2", made)["cvvs"][0]["value"], "123", "it is free")
    answer = system.vault("relay").post("/v1/settlements", given_back)
    equal(answer.json["results"][0]["state"], "settled", "said again")
    equal(_borrow(system, "sub_faults3", made)["code"], "state_conflict", "it is out still")


def a_key_made_while_the_disk_failed_is_not_lost(system):
    """A day later the key of the day is over; the next one's row was in the batch that failed."""
    tomorrow = "clock 90000 @keeper"
    with failing["vault"].on(tomorrow, STORE.format("ENOSPC")):
        problem(system.vault().post("/v1/tokens", BODY), 503, "store_unavailable")
        _is_unready(system, "vault", "the store takes no writes")
    failing["vault"].set(tomorrow)
    _comes_back(system, "vault")
    made = system.token(harness.MASTERCARD)
    failing["vault"].clear()
    system.kill("vault")
    system.start("vault")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4444", "it opens")
    equal(pay(system, made["token"]).status, 200, "its card too")
    system.verified("vault")


def a_disk_that_is_full_at_the_vaults_start_is_waited_for(system):
    made = system.token()
    system.stop("vault")
    with failing["vault"].on(STORE.format("ENOSPC")):
        system.spawn("vault")
        _is_unready(system, "vault", "the store cannot be opened")
        keeper = system.part("vault", "keeper")
        problem(system.vault().post("/v1/tokens", BODY), 503, "store_unavailable")
        _says(system, "vault", "store_not_opened")
    _comes_back(system, "vault")
    equal(system.part("vault", "keeper"), keeper, "the same keeper")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4242", "the token")
    system.verified("vault")


def a_table_that_cannot_be_written_at_start_is_waited_for(system):
    """At a start the log of the last run becomes table files."""
    made = system.token()
    system.kill("vault")
    with failing["vault"].on("write,sync EIO .sst"):
        system.spawn("vault")
        _is_unready(system, "vault", "the store cannot be opened")
    _comes_back(system, "vault")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4242", "the token")
    system.verified("vault")


def a_store_with_a_byte_changed_is_refused_with_its_reason(system):
    """In the log of what was written last, which a kill leaves to be read at the next start."""
    made = system.token()
    system.kill("vault")
    logs = [name for name in os.listdir(system.path("data/vault")) if name.endswith(".log")]
    newest = system.path("data/vault", max(logs))
    with open(newest, "rb") as file:
        whole = file.read().rstrip(b"\0")
    at = len(whole) // 2
    _write_at(newest, at, bytes([whole[at] ^ 1]))
    system.spawn("vault")
    equal(system.running.pop("vault").wait(20), 2, "exit code: not to be started again")
    check('"event":"store_not_opened"' in system.log("vault") and
          "Corruption" in system.log("vault")[-2000:], "the reason is in the log")
    _write_at(newest, at, whole[at:at + 1])
    system.start("vault")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4242", "the token")
    system.verified("vault")


def _write_at(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def _relay_refuses_until_the_disk_is_back(system, rule, name):
    token = system.token()["token"]
    key = {"Idempotency-Key": name}
    relay = system.part("relay", "relay")
    system.forget_received()
    with failing["relay"].on(rule):
        answer = pay(system, token, headers=key)
        problem(answer, 503, "store_unavailable")
        outcome(answer, "not_sent", True, "relay")
        _is_unready(system, "relay", '"store":"failed"')
    equal(system.received(), [], "nothing was sent")
    _comes_back(system, "relay")
    equal(system.part("relay", "relay"), relay, "the relay lives on")
    answer = pay(system, token, headers=key)
    equal((answer.status, answer.header("Idempotency-Replayed")), (200, None),
          f"it was safe to retry: {answer!r}")
    equal(len(system.received()), 1, "sent once")
    system.verified("relay")


def _send_payment(asked, token, **headers):
    asked.send("/sandbox/v1/payment_intents", urllib.parse.urlencode(payment(token)),
               {**KEY, "Content-Type": FORM, **headers})


def the_relay_sends_nothing_whose_intent_is_not_on_the_disk(system):
    for _ in range(3):
        token = system.token()["token"]
        asked = _Asked(system.relay())
        system.forget_received()
        _rests(system, "relay")
        with _synced_late(system, "relay", asked):
            _send_payment(asked, token)
            for _ in range(10):  # Each takes longer than the relay would to send a payment.
                system.token()
                equal(system.received(), [], "nothing is sent yet")
        equal(asked.answer(), 200, "answered once it was")
        equal(len(system.received()), 1, "sent once")


def the_relay_answers_nothing_whose_outcome_is_not_on_the_disk(system):
    slow = {"Sandbox-Behaviour": "slow", "Sandbox-Delay-Ms": "3000"}
    for _ in range(2):
        token = system.token()["token"]
        asked = _Asked(system.relay())
        system.forget_received()
        _send_payment(asked, token, **slow)
        wait_until(system.received, "the payment is at the gateway")
        _rests(system, "relay")
        check(not asked.is_answered(), "the gateway takes its time")
        with _synced_late(system, "relay", asked):
            pass
        equal(asked.answer(), 200, "answered once it is")


def a_full_disk_stops_the_relay_before_anything_is_sent(system):
    _relay_refuses_until_the_disk_is_back(system, LEDGER.format("ENOSPC"), "faults-full")


def a_write_error_stops_the_relay_before_anything_is_sent(system):
    _relay_refuses_until_the_disk_is_back(system, LEDGER.format("EIO"), "faults-write")


def a_failed_sync_stops_the_relay_and_what_it_refused_is_no_attempt(system):
    """The intent may come back with the store, though its caller was told that nothing was sent."""
    _relay_refuses_until_the_disk_is_back(system, "sync EIO data/relay/", "faults-sync")


def an_answer_that_cannot_be_recorded_is_not_safe_to_retry(system):
    token = system.token()["token"]
    key = {"Idempotency-Key": "faults-outcome", "Sandbox-Delay-Ms": "1500"}
    system.forget_received()
    answers = []
    paying = threading.Thread(
        target=lambda: answers.append(pay(system, token, behaviour="slow", headers=key)))
    paying.start()
    wait_until(system.received, "the payment is at the gateway")
    with failing["relay"].on(LEDGER.format("EIO")):
        paying.join()
        problem(answers[0], 503, "store_unavailable")
        outcome(answers[0], "answered", False, "relay")
    _comes_back(system, "relay")
    problem(pay(system, token, behaviour="slow", headers=key), 409, "in_doubt")
    equal(len(system.received()), 1, "sent once")
    system.verified("relay")


def a_disk_that_is_full_at_the_relays_start_is_waited_for(system):
    system.stop("relay")
    with failing["relay"].on(LEDGER.format("ENOSPC")):
        system.spawn("relay")
        _says(system, "relay", "cannot_start")
        equal(system.running["relay"].poll(), None, "it goes on trying")
    _comes_back(system, "relay")
    equal(pay(system, system.token()["token"]).status, 200, "a payment")
    system.verified("relay")


def _audit_is_unavailable(system):
    answer = system.vault().post("/v1/tokens", BODY)
    if answer.status == 201:
        return None
    return problem(answer, 503, "audit_unavailable")


def what_the_signer_cannot_remember_is_not_signed_and_in_time_nothing_is_done(system):
    """It dies and comes back all the while; that it said hello again is no signature."""
    forgets = "open,write,sync,rename ENOSPC vault-signer.state"
    with failing["vault"].on(forgets):
        system.token()
        for uptime in (0, 16, 32):
            failing["vault"].set(forgets, f"uptime {uptime} @keeper")
            old = system.part("vault", "signer")
            wait_until(lambda known=old: system.part("vault", "signer") not in (None, known),
                       "another signer")
            _says(system, "vault", "signer_ended")
        wait_until(lambda: _audit_is_unavailable(system), "an unsigned log stops the vault")
        _is_unready(system, "vault", "the audit log is not being signed")
    old = system.kill_part("vault", "keeper")  # For whom time went back.
    wait_until(lambda: system.part("vault", "keeper") not in (None, old), "a new keeper")
    _comes_back(system, "vault")
    system.verified("vault")


def the_relay_says_so_when_its_signer_cannot_remember(system):
    token = system.token()["token"]
    with failing["relay"].on("open,write,sync,rename EIO relay-signer.state"):
        equal(pay(system, token).status, 200, "work goes on meanwhile")
        _is_unready(system, "relay", '"signer":"failed"')
    _comes_back(system, "relay")
    system.verified("relay")


def what_the_daemons_write_is_theirs_alone(system):
    """Whatever the mask was that they were started with."""
    open_to_others = []
    for folder, folders, files in os.walk(system.path("data")):
        for name in folders + files:
            mode = os.stat(os.path.join(folder, name)).st_mode & 0o777
            if mode != (0o700 if name in folders else 0o600):
                open_to_others.append((oct(mode), os.path.join(folder, name)))
    equal(open_to_others, [], "files and folders that others can open, or that have another mode")
