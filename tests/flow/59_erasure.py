# SPDX-License-Identifier: Apache-2.0
"""What is erased is gone: from the store's rows, from every file of it, and from its backups."""
import json
import random

import store_files
from harness import AMEX, MASTERCARD, UNIONPAY_19, VISA, check, equal, pay, problem, wait_until
from rounds import rounds, seed

SOAK = True
RECORDS_NUMBER = 2     # Of the family, in RocksDB's logs: the third that was made.
SALT, CIPHER = 10, 86  # Where they begin in an envelope: keys/envelope.h.
WAIT_S = 120
NUMBERS = (VISA, MASTERCARD, AMEX, UNIONPAY_19)


def prepare(system):
    system.edit("policies.yaml", "  demo: {}", "  demo: {retention: {cards: 400d}}")


def _store(system):
    return system.path("data", "vault")


def _backups(system):
    return system.path("backups", "vault")


def _records(system):
    return store_files.raw_rows(system.build, _store(system), "records")


def _markers(rows):
    """Of each record's two envelopes: salt and ciphertext."""
    found = set()
    for row in rows.values():
        size = int.from_bytes(row[:2], "big")
        for envelope in (row[2:2 + size], row[2 + size:]):
            found |= {envelope[SALT:SALT + 32], envelope[CIPHER:CIPHER + 16]}
    return found


def _make(system, count, who="shop"):
    """Cards of one tenant; their tokens, and what of them is in the store's records."""
    before = set(_records(system))
    tokens = [system.token(NUMBERS[place % len(NUMBERS)], who=who)["token"]
              for place in range(count)]
    after = _records(system)
    return tokens, {key: row for key, row in after.items() if key not in before}


def _ask(system, body, who="security"):
    return system.vault(who).post("/v1/erasures", body)


def _erase(system, body):
    """Asked for by one, and approved by another where it must be; the erasure as it begins."""
    answer = _ask(system, body)
    equal(answer.status, 202, f"asking: {answer!r}")
    if "approval" not in answer.json:
        return answer.json
    done = system.vault("security-2").post(f"/v1/approvals/{answer.json['approval']}")
    equal(done.status, 200, f"approving: {done!r}")
    return done.json["result"]["erasure"]


def _show(system, name):
    answer = system.vault("security").get(f"/v1/erasures/{name}")
    equal(answer.status, 200, f"showing: {answer!r}")
    return answer.json


def _ended(system, begun):
    """Waited for; what its report says, which is the log's."""
    name = begun["erasure"]
    done = wait_until(lambda: (lambda one: one if one["state"] != "running" else None)(
        _show(system, name)), f"the erasure ends: {_show(system, name)}", WAIT_S)
    equal(done["state"], "done", f"the report: {done}")
    entry = system.audit(start=done["entry"])[0]
    equal((entry["event"], entry["object"], entry["outcome"]), ("erasure.report", name, "ok"),
          "the entry")
    said = json.loads(entry["detail"])
    equal({**said, "phase": done["phase"]}, done, "the log says the same")
    return done


def _gone(system, rows, *folders):
    """No file of the store, nor of these folders, holds a record's number or a part of it."""
    where = (_store(system), *folders)
    equal(store_files.markers_found(_markers(rows), *where), {}, "ciphertext")
    equal(store_files.keys_found(set(rows), "records", RECORDS_NUMBER, *where), {}, "records")


def _there(system, rows, *folders):
    """Each of them is found, so that the search is known to see."""
    where = (_store(system), *folders)
    found = store_files.markers_found(_markers(rows), *where)
    equal(len(found), len(_markers(rows)), "ciphertext of what stays")
    equal(set(store_files.keys_found(set(rows), "records", RECORDS_NUMBER, *where)), set(rows),
          "records that stay")


def _opens(system, tokens, who="shop"):
    for token in tokens:
        equal(pay(system, token, who=who).status, 200, "a card that stays opens")


def _shown(system, token, status, code=None, who="shop"):
    answer = system.vault(who).get(f"/v1/tokens/{token}")
    if code is None:
        equal(answer.status, status, f"{answer!r}")
    else:
        problem(answer, status, code)


def one_token_goes_with_every_byte_of_it(system):
    kept, kept_rows = _make(system, 3)
    tokens, rows = _make(system, 1)
    begun = _erase(system, {"token": tokens[0], "tenant": "demo"})
    equal((begun["kind"], begun["approved_by"]), ("token", None), "by one person")
    _shown(system, tokens[0], 410, "erased")
    done = _ended(system, begun)
    equal(done["erased"]["tokens"], 1, "one")
    check(done["search"]["erased_markers"] >= 2, f"looked for: {done}")
    check(done["search"]["other_markers_found"] > 0, f"and found what stays: {done}")
    _gone(system, rows)
    _there(system, kept_rows)
    _opens(system, kept)


def its_fingerprint_goes_with_the_card_s_last_token(system):
    one = system.token(MASTERCARD)["token"]
    two = system.token(MASTERCARD)["token"]
    before = set(store_files.raw_rows(system.build, _store(system), "fingerprints"))
    spare = [system.token(number, who="other")["token"] for number in (VISA, VISA)]
    made = set(store_files.raw_rows(system.build, _store(system), "fingerprints")) - before
    equal(len(made), 1, "one row for both tokens of a card")
    equal(system.vault("other").delete(f"/v1/tokens/{spare[0]}").status, 204, "erased")
    rows = set(store_files.raw_rows(system.build, _store(system), "fingerprints"))
    check(made <= rows, "the other token of the card needs it")
    _ended(system, _erase(system, {"token": spare[1], "tenant": "acme"}))
    rows = set(store_files.raw_rows(system.build, _store(system), "fingerprints"))
    check(not made & rows and before <= rows, "it is gone, and no other")
    equal(store_files.markers_found(made, _store(system)), {}, "its bytes")
    _opens(system, [one, two])


def a_kept_answer_goes_with_what_it_names(system):
    key = {"Idempotency-Key": f"erased-{random.random()}"}
    body = {"number": VISA, "exp_month": 12, "exp_year": 2031}
    other = {"Idempotency-Key": f"kept-{random.random()}"}
    first = system.vault().post("/v1/tokens", body, headers=key).json["token"]
    second = system.vault().post("/v1/tokens", body, headers=other).json["token"]
    done = _ended(system, _erase(system, {"token": first, "tenant": "demo"}))
    equal(done["erased"]["kept_answers"], 1, "the one")
    problem(system.vault().post("/v1/tokens", body, headers=key), 410, "erased")
    again = system.vault().post("/v1/tokens", body, headers=other)
    equal((again.status, again.json["token"]), (201, second), "and not its neighbour's")


def a_number_of_a_record_is_never_given_twice(system):
    body = {"number": VISA, "exp_month": 12, "exp_year": 2031}
    key = {"Idempotency-Key": f"newest-{random.random()}"}
    newest = system.vault().post("/v1/tokens", body, headers=key).json["token"]
    equal(system.vault().delete(f"/v1/tokens/{newest}").status, 204, "the newest goes")
    system.stop("vault")
    system.start("vault")
    system.token(AMEX)
    problem(system.vault().post("/v1/tokens", body, headers=key), 410, "erased")


def a_tenant_goes_by_two_persons_and_the_others_open_all_along(system):
    kept, kept_rows = _make(system, 4)
    tokens, rows = _make(system, 40, who="other")
    keys = {key["id"] for key in system.vault("security").get("/v1/keys?purpose=card").json["keys"]
            if key["tenant"] == "acme" and key["level"] == "dek"}
    answer = _ask(system, {"tenant": "acme"})
    equal(answer.status, 202, f"{answer!r}")
    name = answer.json["approval"]
    problem(system.vault("security").post(f"/v1/approvals/{name}"), 409, "state_conflict")
    _shown(system, tokens[0], 200, who="other")
    done = system.vault("security-2").post(f"/v1/approvals/{name}")
    begun = done.json["result"]["erasure"]
    while _show(system, begun["erasure"])["state"] == "running":
        _opens(system, kept[:1])
    late = system.token(who="other")["token"]
    done = _ended(system, begun)
    equal((done["asked_by"], done["approved_by"]), ("security", "security-2"), "by whom")
    check(done["erased"]["tokens"] >= len(tokens), f"all of them: {done['erased']}")
    check(done["erased"]["keys"] >= len(keys), f"and their keys: {done['erased']}, {keys}")
    for token in tokens:
        _shown(system, token, 410, "erased", who="other")
    for key in keys:
        equal(system.vault("security").get(f"/v1/keys/{key}").json["state"], "destroyed", "key")
    _gone(system, rows)
    _there(system, kept_rows)
    _opens(system, kept)
    _shown(system, late, 200, who="other")
