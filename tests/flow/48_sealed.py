# SPDX-License-Identifier: Apache-2.0
"""A vault that is sealed has no key: it says so, gives and takes no card, and its log goes on."""
import json
import os

import store_files
from harness import VISA, check, equal, pay, problem, wait_until


def _security(system):
    return system.vault("security")


def _state(system):
    answer = _security(system).get("/v1/seal")
    equal(answer.status, 200, f"{answer!r}")
    return answer.json


def _entries(system, event):
    return [entry for entry in system.audit() if entry["event"] == event]


def _settles(system):
    return _entries(system, "card.settle")


def _restart(system):
    system.stop("vault")
    system.start("vault")


def _answers(system):
    try:
        return _security(system).get("/v1/seal").status == 200
    except OSError:
        return False


def _open(system):
    return wait_until(lambda: _state(system)["state"] == "open", "the vault is open")


def an_open_vault_says_by_what(system):
    state = _state(system)
    equal((state["state"], state["kind"], state["configured"], state["why"]),
          ("open", "file", "file", ""), "the state")
    entry = _entries(system, "seal.open")[-1]
    check(state["set"] in entry["detail"], f"the entry names the set: {entry}")


def nobody_seals_it_without_the_right(system):
    for who in ("shop", "operator", "auditor", "custodian-1", "relay"):
        problem(system.vault(who).post("/v1/seal/seal"), 403, "denied")
    for who in ("shop", "operator", "auditor", "relay"):
        problem(system.vault(who).get("/v1/seal"), 403, "denied")
    equal(_state(system)["state"], "open", "the state")


def what_is_not_understood_seals_nothing(system):
    security = _security(system)
    problem(security.post("/v1/seal/seal", {"because": "x"}), 422, "unknown_field", "/because")
    problem(security.post("/v1/seal/seal", {"reason": VISA}), 422, "card_in_free_text", "/reason")
    problem(security.post("/v1/seal/seal", {"reason": 7}), 422, "invalid_field", "/reason")
    for body, status, code in ((b"[]", 422, "invalid_field"), (b"{", 400, "invalid_json")):
        problem(security.post("/v1/seal/seal", body, headers={"Content-Type": "application/json"}),
                status, code)
    problem(security.post("/v1/seal/seal?now=1", {}), 422, "unknown_field")
    problem(security.post("/v1/seal/seal", {"reason": "x" * 20000}), 413, "too_large")
    problem(security.get("/v1/seal?state=open"), 422, "unknown_field")
    equal(_state(system)["state"], "open", "the state")


def sealed_it_takes_and_gives_no_card(system):
    made = system.token(cvv="123")
    shop = system.vault()
    answer = _security(system).post("/v1/seal/seal", {"reason": "a drill"})
    equal((answer.status, answer.json), (200, {"state": "sealed"}), "the answer")
    problem(shop.post("/v1/tokens", {"number": VISA, "exp_month": 12, "exp_year": 2031}),
            503, "sealed")
    problem(shop.get(f"/v1/tokens/{made['token']}"), 503, "sealed")
    problem(shop.delete(f"/v1/tokens/{made['token']}"), 503, "sealed")
    problem(shop.post(f"/v1/tokens/{made['token']}/cvv", {"cvv": "123"}), 503, "sealed")
    answer = pay(system, made["token"])
    equal((answer.status, answer.header("Cardkeep-Outcome")), (503, "not_sent"), f"{answer!r}")
    state = _state(system)
    equal((state["state"], state["why"]), ("sealed", "It was sealed by hand; it opens "
                                           "when it is started anew."), "the state")
    problem(_security(system).post("/v1/seal/seal"), 409, "state_conflict")
    wait_until(lambda: system.metrics("vault", "/readyz").status == 503, "its readiness says so")
    answer = system.metrics("vault", "/readyz")
    check(b"sealed by hand" in answer.body, f"{answer.body}")
    check(b"cardkeep_vault_sealed 1" in system.metrics("vault", "/metrics").body, "the metric")
    equal(system.cardkeep("token", "show", made["token"]).returncode, 5, "the command's exit code")


def a_question_about_nothing_is_refused_and_not_written_down(system):
    """A relay asks every second whether the vault would settle."""
    relay = system.vault("relay")
    before = _settles(system)
    problem(relay.post("/v1/settlements", {"settlements": []}), 503, "sealed")
    equal(_settles(system), before, "entries after it")
    one = {"submission_id": "sub_while_sealed", "outcome": "not_sent"}
    problem(relay.post("/v1/settlements", {"settlements": [one]}), 503, "sealed")
    problem(relay.post("/v1/settlements", {"settlements": {}}), 503, "sealed")
    refused = [entry["outcome"] for entry in _settles(system)[len(before):]]
    check(refused.count("sealed") >= 2, f"all else is on record: {refused}")


def a_stranger_still_hears_that_it_is_one(system):
    problem(system.vault(None).get("/v1/seal"), 401, "unknown_principal")


def sealed_its_log_goes_on_and_proves_itself(system):
    entry = _entries(system, "seal.shut")[-1]
    equal((entry["actor"], entry["detail"], entry["outcome"]), ("security", "a drill", "ok"),
          "who sealed it, and why")
    refused = [entry for entry in system.audit() if entry["outcome"] == "sealed"]
    check(len(refused) >= 4, f"each refusal is on record: {refused}")
    system.verified("vault")


def started_anew_it_opens_by_itself(system):
    _restart(system)
    _open(system)
    check(b"cardkeep_vault_sealed 0" in system.metrics("vault", "/metrics").body, "the metric")
    equal(pay(system, system.token()["token"]).status, 200, "a payment")


def codes_are_lost_with_the_seal(system):
    made = system.token(cvv="123")
    equal(_security(system).post("/v1/seal/seal").status, 200, "sealing")
    _restart(system)
    _open(system)
    problem(pay(system, made["token"], made["cvv"]["token"]), 410, "cvv_lost")


def with_another_vault_s_seal_it_stays_sealed_and_says_why(system):
    path = system.path("seal.key")
    system.stop("vault")
    os.rename(path, path + ".kept")
    done = system.cardkeep("dev", "init", system.path("another"), config=False)
    equal(done.returncode, 0, done.stderr)
    os.rename(system.path("another/seal.key"), path)
    try:
        system.spawn("vault")
        alarm = wait_until(lambda: [line for line in system.log("vault").splitlines()
                                    if "root_is_another" in line], "the log says it")
        equal(json.loads(alarm[0])["level"], "error", "an alarm")
        wait_until(lambda: _answers(system), "it answers")
        state = _state(system)
        equal((state["state"], state["why"]),
              ("sealed", "The root that was given is not this vault's."), "the state")
        equal(_entries(system, "seal.fail")[-1]["outcome"], "denied", "the entry")
    finally:
        system.stop("vault")
        os.rename(path + ".kept", path)
        system.start("vault")
    _open(system)


def _key(number):
    return number.to_bytes(8, "big")


def _harms(rows, older):
    """What a hand on the disk can do to key rows: a word, what is written, which keys are named."""
    first = rows[_key(1)]
    for at in (0, 8, 17, 40, len(first) // 2, len(first) - 1):
        flipped = bytes([*first[:at], first[at] ^ 1, *first[at + 1:]])
        yield f"byte {at} flipped", {_key(1): flipped}, {1}
    yield "swapped", {_key(1): rows[_key(2)], _key(2): first}, {1, 2}
    yield "renamed", {_key(len(rows)): first}, {len(rows)}
    yield "gone", {_key(2): None}, {2}
    again = next(key for key in older if older[key] != rows[key] and key != _key(0))
    yield "rolled back", {again: older[again]}, {int.from_bytes(again, "big")}
    yield "the manifest rolled back", {_key(0): older[_key(0)]}, None
    yield "the manifest gone", {_key(0): None}, None


def _write(system, rows):
    for key, value in rows.items():
        if value is None:
            store_files.raw_delete(system.build, system.path("data/vault"), "keys", key)
        else:
            store_files.raw_put(system.build, system.path("data/vault"), "keys", key, value)


def key_rows_that_somebody_changed_are_named_at_the_start_and_open_nothing(system):
    token = system.token()["token"]
    system.stop("vault")
    older = store_files.raw_rows(system.build, system.path("data/vault"), "keys")
    system.start("vault")
    equal(_security(system).post("/v1/rotations", {"what": "kek"}).status, 200, "a rotation")
    system.stop("vault")
    rows = store_files.raw_rows(system.build, system.path("data/vault"), "keys")
    equal(sorted(rows), [_key(n) for n in range(len(rows))], "the manifest, and keys from 1 on")
    for what, harm, named in _harms(rows, older):
        _write(system, harm)
        before = len(system.log("vault"))
        system.spawn("vault")
        wait_until(lambda: _answers(system), f"it answers ({what})")
        state = _state(system)
        equal(state["state"], "sealed", what)
        said = [json.loads(line) for line in system.log("vault")[before:].splitlines()
                if '"key_not_as_stored"' in line]
        keys = {int(line["key"].removeprefix("key/")) for line in said}
        check(all(line["level"] == "error" for line in said) and keys, f"{what}: an alarm: {said}")
        check(named is None or named <= keys, f"{what}: {named} are named: {said}")
        check(state["why"].startswith("Key "), f"{what}: {state}")
        forged = _entries(system, "key.forged")[-len(said):]
        equal({entry["object"] for entry in forged}, {line["key"] for line in said}, "the log")
        problem(system.vault().get(f"/v1/tokens/{token}"), 503, "sealed")
        check(b"cardkeep_vault_keys_forged_total 0" not in system.metrics("vault", "/metrics").body,
              "the metric")
        system.stop("vault")
        _write(system, {key: rows.get(key) for key in harm})
    system.start("vault")
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "put back, it opens")
