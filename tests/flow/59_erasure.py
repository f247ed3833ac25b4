# SPDX-License-Identifier: Apache-2.0
"""What is erased is gone: from the store's rows, from every file of it, and from its backups."""
import json
import os
import random
import re
import shutil
import time

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


def an_epoch_goes_with_its_key_from_the_backups_too(system):
    equal(system.cardkeep("backup", "create").returncode, 0, "a first backup")
    first, first_rows = _make(system, 12)
    key = {one["id"] for one in system.vault("security").get("/v1/keys?purpose=card").json["keys"]
           if one["tenant"] == "demo" and one["level"] == "dek" and one["state"] == "active"}.pop()
    answer = system.vault("security").post(f"/v1/keys/{key}/deactivate", {})
    equal(answer.status, 200, f"the epoch is over: {answer!r}")
    kept, kept_rows = _make(system, 6)
    equal(system.cardkeep("backup", "create").returncode, 0, "a backup that holds both")
    sealed = {row for row, value in _records(system).items()
              if int.from_bytes(value[4:12], "big") == key}
    check(set(first_rows) <= sealed, "these cards are under the key")
    rows = {row: _records(system)[row] for row in sealed}
    _there(system, rows, _backups(system))
    problem(_ask(system, {"epoch": 10 ** 6}), 404, "not_found", "/epoch")
    done = _ended(system, _erase(system, {"epoch": key, "backups": True}))
    equal((done["erased"]["tokens"], done["erased"]["keys"]), (len(sealed), 1), "all of it")
    equal(done["search"]["erased_markers_found_in_backups"], 0, "backups")
    check(done["search"]["backup_files"] > 0, "which were searched")
    equal(system.vault("security").get(f"/v1/keys/{key}").json["state"], "destroyed", "the key")
    for token in first:
        _shown(system, token, 410, "erased")
    _gone(system, rows, _backups(system))
    _there(system, kept_rows, _backups(system))
    _opens(system, kept)
    listed = json.loads(system.cardkeep("backup", "list", "--json", "--from", _backups(system),
                                        config=False).stdout)["backups"]
    equal(len(listed), 1, "one backup is left")
    _proven(system)


def _proven(system):
    """That one restores, and every card in it opens."""
    done = system.cardkeep("backup", "verify", "--from", _backups(system), "--verifier",
                           system.path("keys/vault-signer.pub"), config=False)
    equal(done.returncode, 0, f"backup verify: {done.stdout}{done.stderr}")


def a_backup_that_still_holds_it_is_counted(system):
    token, rows = _make(system, 1)
    equal(system.cardkeep("backup", "create").returncode, 0, "a backup")
    done = _ended(system, _erase(system, {"token": token[0], "tenant": "demo"}))
    check(done["search"]["erased_markers_found_in_backups"] >= 2, f"it says so: {done['search']}")
    _gone(system, rows)
    check(store_files.markers_found(_markers(rows), _backups(system)), "and it is so")


def killed_at_any_point_an_erasure_goes_on(system):
    drawn = seed()
    lots = random.Random(drawn)
    kept, kept_rows = _make(system, 3)
    _ended(system, _erase(system, {"tenant": "acme"}))  # What other tests left.
    for turn in rounds(2):
        tokens, rows = _make(system, 60, who="other")
        begun = _erase(system, {"tenant": "acme", "backups": turn % 2 == 1})
        kills = 0
        for _ in range(2):
            _pause(lots)
            system.kill("vault")
            kills += 1
            system.start("vault")
            if _show(system, begun["erasure"])["state"] != "running":
                break
            _opens(system, kept[:1])
        done = _ended(system, begun)
        equal(done["erased"]["tokens"], len(tokens), f"counted once each, {kills} kills: {drawn}")
        _gone(system, rows)
        _there(system, kept_rows)
        for token in tokens[::20]:
            _shown(system, token, 410, "erased", who="other")
    _opens(system, kept)


def cards_on_their_way_to_another_key_go_too(system):
    kept, kept_rows = _make(system, 3)
    tokens, rows = _make(system, 40, who="other")
    caller = system.vault("security")
    job = caller.post("/v1/rotations", {"what": "dek", "tenant": "acme", "rate": 20})
    equal(job.status, 202, f"rotating: {job!r}")
    path = f"/v1/jobs/{job.json['job']}"
    wait_until(lambda: caller.get(path).json["moved"] > 0, "some were moved")
    begun = _erase(system, {"tenant": "acme"})
    equal(caller.post(path + "/rate", {"rate": 100000}).status, 200, "faster")
    done = _ended(system, begun)
    equal(done["erased"]["tokens"], len(tokens), "each once, wherever it was")
    wait_until(lambda: caller.get(path).json["state"] == "done", "the job ends")
    _gone(system, rows)
    _there(system, kept_rows)
    for token in tokens[::13]:
        _shown(system, token, 410, "erased", who="other")
    _opens(system, kept)


def _pause(lots):
    """Some of the erasure's time: what is drawn is where the kill falls, not what is waited for."""
    end = time.monotonic() + lots.random() ** 2 * 0.6
    wait_until(lambda: time.monotonic() >= end, "the moment of the kill")


def who_may_not_erase_does_not(system):
    for who in ("shop", "operator", "auditor"):
        problem(_ask(system, {"tenant": "demo"}, who), 403, "denied")
        problem(system.vault(who).get("/v1/erasures"), 403, "denied")
    token = system.token()["token"]
    for body, status, code, field in (
            ({}, 422, "missing_field", "/tenant"),
            ({"token": token}, 422, "missing_field", "/tenant"),
            ({"tenant": "demo", "epoch": 1}, 422, "invalid_field", "/epoch"),
            ({"epoch": 0}, 422, "invalid_field", "/epoch"),
            ({"epoch": "1"}, 422, "invalid_field", "/epoch"),
            ({"tenant": "demo", "backups": "yes"}, 422, "invalid_field", "/backups"),
            ({"tenant": "demo", "all": True}, 422, "unknown_field", None),
            ({"tenant": "nobody"}, 404, "not_found", "/tenant"),
            ({"token": token, "tenant": "acme"}, 404, "not_found", None)):
        problem(_ask(system, body), status, code, field)
    keys = system.vault("security").get("/v1/keys?purpose=index").json["keys"]
    index = [one["id"] for one in keys
             if one["level"] == "dek"][0]
    problem(_ask(system, {"epoch": index}), 422, "invalid_field", "/epoch")
    for name in ("ers_0", "ers_999999", "12", "apr_1"):
        problem(system.vault("security").get(f"/v1/erasures/{name}"), 404, "not_found")
    problem(system.vault().get("/v1/erasures/ers_1"), 403, "denied")
    _shown(system, token, 200)
    equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased by its owner")
    problem(_ask(system, {"token": token, "tenant": "demo"}), 410, "erased")
    waits = _ask(system, {"tenant": "acme"})
    equal(waits.status, 202, f"{waits!r}")
    problem(_ask(system, {"tenant": "acme"}), 409, "state_conflict")
    answer = system.vault("security").delete(f"/v1/approvals/{waits.json['approval']}")
    equal(answer.status, 200, "taken back")
    listed = system.vault("security").get("/v1/erasures").json["erasures"]
    check(len(listed) >= 3 and all(one["state"] == "done" for one in listed), f"{listed}")


def a_copy_that_lies_among_the_store_s_files_is_found_and_reported(system):
    """What the search is for: the report never says more than it saw."""
    tokens, rows = _make(system, 1)
    kept = os.path.join(_store(system), "kept")
    os.mkdir(kept)
    for name in os.listdir(_store(system)):
        if name.endswith((".log", ".sst")):
            shutil.copy(os.path.join(_store(system), name), kept)
    check(store_files.markers_found(_markers(rows), kept), "the copy holds it")
    begun = _erase(system, {"token": tokens[0], "tenant": "demo"})
    done = wait_until(lambda: (lambda one: one if one["state"] != "running" else None)(
        _show(system, begun["erasure"])), "the erasure ends", WAIT_S)
    shutil.rmtree(kept)
    equal(done["state"], "bytes_found", f"the report: {done}")
    equal(system.audit(start=done["entry"])[0]["outcome"], "bytes_found", "the entry")
    wait_until(lambda: "erased_bytes_found" in system.log("vault"), "an alarm")


def the_checker_finds_nothing_wrong_with_what_is_left(system):
    done = system.cardkeep("store", "check", "--verifier", system.path("keys/vault-signer.pub"),
                           system.path("vault.yaml"), config=False)
    equal(done.returncode, 0, f"store check: {done.stdout}{done.stderr}")


def at_the_command_line_it_reads_as_a_runbook(system):
    kept = system.token()["token"]
    system.token(who="other")
    asked = system.cardkeep("erase", "tenant", "acme", "--backups")
    equal(asked.returncode, 0, f"erase tenant: {asked.stderr}")
    name = re.search(r"apr_[0-9]+", asked.stdout).group()
    done = system.cardkeep("approvals", "approve", name, "--as", "security-2")
    equal(done.returncode, 0, f"approving: {done.stdout}{done.stderr}")
    newest = system.vault("security").get("/v1/erasures").json["erasures"][-1]["erasure"]
    shown = system.cardkeep("erase", "show", "--wait", newest)
    equal(shown.returncode, 0, f"erase show: {shown.stdout}{shown.stderr}")
    check("markers of what is gone 0 were found" in shown.stdout, shown.stdout)
    said = json.loads(system.cardkeep("erase", "show", "--json", newest).stdout)
    equal((said["state"], said["kind"], said["backups"]), ("done", "tenant", True), "as JSON")
    for words in (["token", kept], ["epoch", "x"], ["show", "apr_1"]):
        equal(system.cardkeep("erase", *words).returncode, 2, f"{words} is wrong usage")
    equal(system.cardkeep("erase", "tenant", "nobody").returncode, 1, "there is no such tenant")
