# SPDX-License-Identifier: Apache-2.0
"""Keys: who may move them, what two persons must agree on, and what a key's state does to cards."""
import os
import random
import signal
import time

from custody import (active_key, approve, ask_for, change_key, fresh_key, key_of, keys_of,
                     let_go, paused_job, tokens_under)
from harness import VISA, check, equal, pay, problem, wait_until
from rounds import rounds

SOAK = True


def prepare(system):
    """One who may look, and do nothing else."""
    system.edit("policies.yaml", "  - id: shop-pays\n",
                "  - id: one-looks\n    effect: allow\n    actions: [key.read]\n"
                "    principals: [custodian-5]\n  - id: shop-pays\n")


def _lease(system, token):
    """The result of a lease that the relay asks for."""
    answer = system.vault("relay").post("/v1/leases", {"leases": [
        {"submission_id": f"sub_{os.urandom(6).hex()}", "destination": "sandbox",
         "purpose": "payment", "on_behalf_of": "shop", "tokens": [token], "cvv_tokens": []}]})
    equal(answer.status, 200, f"leasing: {answer!r}")
    return answer.json["results"][0]


def the_list_is_filtered_and_paged(system):
    system.token(cvv="123")
    every = keys_of(system)
    equal([one["id"] for one in every], list(range(1, len(every) + 1)), "ids without a gap")
    for name in ("purpose", "state"):
        for value in {one[name] for one in every}:
            equal(keys_of(system, **{name: value}), [one for one in every if one[name] == value],
                  f"{name}={value}")
    equal(keys_of(system, tenant="nobody"), [], "another's keys")
    for query in ("state", "colour=red", "after=x", "limit=-1", "state=active&state=active"):
        equal(system.vault("security").get(f"/v1/keys?{query}").status, 422, query)


def a_key_is_shown_with_everything_but_its_bytes(system):
    system.token()
    shown = active_key(system)
    equal(key_of(system, shown["id"]), shown, "the same in the list and alone")
    equal((shown["bits"], shown["level"], shown["tenant"]), (256, "dek", "demo"), "facts")
    check(shown["uses"] >= 1, f"it was used: {shown}")
    check(shown["expires_at"] > shown["created_at"], "it has a period")
    for name in ("999999", "0", "-1", "x", "1x", "key_1"):
        problem(system.vault("security").get(f"/v1/keys/{name}"), 404, "not_found")
        for what in ("suspend", "compromise", "destroy"):
            problem(change_key(system, name, what), 404, "not_found")
    for body in ({"reason": ""}, {"reason": 1}, {"reason": "x" * 201}):
        problem(change_key(system, shown["id"], "suspend", body=body), 422, "invalid_field",
                "/reason")
    problem(change_key(system, shown["id"], "suspend", body={"force": True}), 422, "unknown_field")
    problem(change_key(system, shown["id"], "suspend", body={"reason": f"card {VISA}"}), 422,
            "card_in_free_text", "/reason")
    equal(key_of(system, shown["id"])["state"], "active", "as it was")


def who_lacks_the_right_neither_sees_nor_moves_a_key(system):
    system.token()
    key = active_key(system)["id"]
    for who in ("shop", "relay", "auditor", "operator", "custodian-1"):
        problem(system.vault(who).get("/v1/keys"), 403, "denied")
        problem(system.vault(who).get(f"/v1/keys/{key}"), 403, "denied")
        problem(system.vault(who).get("/v1/approvals"), 403, "denied")
        problem(system.vault(who).post("/v1/approvals/apr_1"), 403, "denied")
        problem(system.vault(who).delete("/v1/approvals/apr_1"), 403, "denied")
        for what in ("suspend", "activate", "deactivate", "compromise", "destroy"):
            problem(change_key(system, key, what, who), 403, "denied")
    equal(key_of(system, key)["state"], "active", "as it was")


def one_person_suspends_and_activates(system):
    token, key = fresh_key(system)
    equal(change_key(system, key, "suspend").json["state"], "suspended", "suspended")
    other = system.token()["token"]
    check(active_key(system)["id"] != key, "what comes next has another key")
    for one in (token, other):
        equal(pay(system, one).status, 200, "both cards open")
    problem(change_key(system, key, "activate"), 409, "state_conflict")
    other = active_key(system)["id"]
    equal(change_key(system, other, "deactivate").json["state"], "deactivated", "the other")
    equal(change_key(system, key, "activate").json["state"], "active", "active again")
    equal(change_key(system, key, "deactivate").json["state"], "deactivated", "and over")
    for what in ("activate", "suspend", "deactivate"):
        found = problem(change_key(system, key, what), 409, "state_conflict")
        check("800-57" in found["detail"], found["detail"])
    events = [one["event"] for one in system.audit() if one.get("key", {}).get("id") == key]
    for event in ("key.suspend", "key.activate", "key.deactivate", "key.change"):
        check(event in events, f"{event} in {events}")


def a_request_for_compromise_holds_the_key_at_once_and_its_approval_is_final(system):
    token, key = fresh_key(system)
    equal(pay(system, token).status, 200, "it opens")
    request = ask_for(system, key, "compromise")
    equal((request["state"], request["kind"], request["target"]),
          ("waiting", "key.compromise", f"key/{key}"), "the request")
    shown = key_of(system, key)
    equal((shown["state"], shown["held"]), ("suspended", True), "held")
    refused = pay(system, token)
    equal((refused.status, refused.json["code"]), (503, "key_suspended"), "no lease")
    equal(_lease(system, token)["code"], "key_suspended", "asked by hand")
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "its mask is shown")
    problem(change_key(system, key, "activate"), 409, "state_conflict")
    job = paused_job(system, key)
    done = approve(system, request)
    equal((done.status, done.json["state"]), (200, "done"), f"approved: {done!r}")
    equal(done.json["result"]["key"]["state"], "compromised", "final")
    refused = pay(system, token)
    equal((refused.status, refused.json["code"]), (503, "key_compromised"), "no lease")
    equal(_lease(system, token)["code"], "key_compromised", "asked by hand")
    problem(system.vault().get(f"/v1/tokens/{token}"), 503, "key_compromised")
    equal(pay(system, system.token()["token"]).status, 200, "new cards have another key")
    check('"key_compromised"' in system.log("vault"), "an alarm in the log")
    let_go(system, job)
    equal(pay(system, token).status, 200, "moved, the card opens again")
    equal(key_of(system, key)["state"], "compromised", "and the key never")
    problem(change_key(system, key, "compromise", body={"reason": "again"}), 409, "state_conflict")


def both_persons_and_both_certificates_are_in_the_log(system):
    _, key = fresh_key(system)
    request = ask_for(system, key, "compromise")
    equal(approve(system, request).status, 200, "approved")
    entries = [one for one in system.audit() if one.get("object") == request["approval"]]
    equal([(one["event"], one["actor"]) for one in entries],
          [("approval.ask", "security"), ("approval.approve", "security-2")], "the two")
    for one in entries:
        equal(one["asked"]["by"], "security", "who asked")
        equal(len(one["certificate"]), 64, "a SHA-256")
        check("a laptop was lost" in one["detail"], f"why: {one}")
    equal(entries[0]["certificate"], entries[1]["asked"]["certificate"], "the same request")
    check(entries[0]["certificate"] != entries[1]["certificate"], "two certificates")


def the_same_person_cannot_be_both(system):
    _, key = fresh_key(system)
    request = ask_for(system, key, "compromise", who="security-2")
    found = problem(approve(system, request, "security-2"), 409, "state_conflict")
    check("somebody else" in found["detail"], found["detail"])
    equal(key_of(system, key)["state"], "suspended", "not final")
    equal(approve(system, request, "security").status, 200, "somebody else can")
    problem(approve(system, request, "security"), 409, "state_conflict")


def the_same_certificate_under_another_name_cannot_be_both(system):
    _, key = fresh_key(system)
    request = ask_for(system, key, "compromise")
    first, second = "urn:cardkeep:security", "urn:cardkeep:security-2"
    system.stop("vault")
    for old, new in ((first, "urn:x"), (second, first), ("urn:x", second)):
        system.edit("policies.yaml", f'"{old}"', f'"{new}"')
    system.start("vault")
    try:
        found = problem(approve(system, request, "security"), 409, "state_conflict")
        check("same certificate" in found["detail"], found["detail"])
        problem(approve(system, request, "security-2"), 409, "state_conflict")
    finally:
        system.stop("vault")
        for old, new in ((first, "urn:x"), (second, first), ("urn:x", second)):
            system.edit("policies.yaml", f'"{old}"', f'"{new}"')
        system.start("vault")
    equal(approve(system, request, "security-2").status, 200, "two persons, two certificates")


def a_request_is_made_once_and_ends_once(system):
    _, key = fresh_key(system)
    request = ask_for(system, key, "compromise")
    found = problem(change_key(system, key, "compromise", "security-2", {"reason": "too"}), 409,
                    "state_conflict")
    check(request["approval"] in found["detail"], found["detail"])
    problem(system.vault("custodian-5").delete(f"/v1/approvals/{request['approval']}"), 403,
            "denied")
    equal(key_of(system, key)["held"], True, "it stays held")
    cancel = system.vault("security-2").delete(f"/v1/approvals/{request['approval']}")
    equal((cancel.status, cancel.json["state"]), (200, "cancelled"), f"{cancel!r}")
    equal(key_of(system, key)["held"], False, "the hold is over")
    problem(approve(system, request), 409, "state_conflict")
    problem(system.vault("security").delete(f"/v1/approvals/{request['approval']}"), 409,
            "state_conflict")
    for name in ("apr_999999", "apr_0", "apr_x", "12"):
        problem(system.vault("security-2").post(f"/v1/approvals/{name}"), 404, "not_found")
        problem(system.vault("security-2").delete(f"/v1/approvals/{name}"), 404, "not_found")
    listed = {one["approval"]: one["state"] for one in
              system.vault("security").get("/v1/approvals").json["approvals"]}
    equal(listed[request["approval"]], "cancelled", "in the list")
    equal(system.vault("security").get("/v1/approvals?state=waiting").json["approvals"], [],
          "none waits")
    for query in ("state", "after=apr_1", "kind=x"):
        equal(system.vault("security").get(f"/v1/approvals?{query}").status, 422, query)


def a_late_approval_is_refused_and_the_key_stays_held(system):
    token, key = fresh_key(system)
    request = ask_for(system, key, "compromise", within_seconds=1)
    wait_until(lambda: any(one.get("object") == request["approval"] and
                           one["event"] == "approval.expire" for one in system.audit()),
               "its end is in the log")
    found = problem(approve(system, request), 409, "state_conflict")
    check("ask for it again" in found["detail"], found["detail"])
    equal(pay(system, token).json["code"], "key_suspended", "held all the same")
    late = system.vault("security").get("/v1/approvals?state=expired").json["approvals"]
    equal([one["approval"] for one in late], [request["approval"]], "what is late")
    again = ask_for(system, key, "compromise")
    equal(system.vault("security").delete(f"/v1/approvals/{again['approval']}").status, 200, "")
    equal(pay(system, token).status, 200, "who cancels lets it go")
    for seconds in (0, -1, 8 * 86400, "1"):
        problem(change_key(system, key, "compromise", body={"within_seconds": seconds}), 422,
                "invalid_field", "/within_seconds")


def a_key_with_records_is_not_destroyed(system):
    token, key = fresh_key(system)
    problem(change_key(system, key, "destroy"), 409, "state_conflict")
    equal(change_key(system, key, "deactivate").status, 200, "first it must be over")
    found = problem(change_key(system, key, "destroy"), 409, "state_conflict")
    check("still depend" in found["detail"], found["detail"])
    equal(pay(system, token).status, 200, "it opens")


def two_destroy_a_key_that_nothing_needs(system):
    tokens = [system.token()["token"]]
    key = active_key(system)["id"]
    equal(change_key(system, key, "deactivate").status, 200, "over")
    spare = system.token()["token"]  # Under the next key; the first one's records go.
    under = tokens_under(system, key)
    for token in under:
        equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased")
    check(tokens[0] in under and spare not in under, "the log knows what is under a key")
    request = ask_for(system, key, "destroy")
    problem(approve(system, request, "security"), 409, "state_conflict")
    done = approve(system, request)
    equal(done.status, 200, f"destroyed: {done!r}")
    equal(done.json["result"]["key"]["state"], "destroyed", "gone")
    check(f"no record under key {key} remains" in done.json["result"]["statement"], "said so")
    entry = [one for one in system.audit() if one["event"] == "key.statement"][-1]
    equal((entry["object"], entry["key"]["id"], entry["asked"]["by"], entry["actor"]),
          (f"key/{key}", key, "security", "security-2"), "the statement")
    problem(change_key(system, key, "destroy"), 409, "state_conflict")


def what_cannot_be_carried_out_goes_on_waiting(system):
    key = fresh_key(system)[1]
    for token in tokens_under(system, key):
        equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased")
    equal(change_key(system, key, "suspend").status, 200, "it may come back")
    request = ask_for(system, key, "destroy")
    equal(change_key(system, key, "activate").status, 200, "and does")
    token = system.token()["token"]
    found = problem(approve(system, request), 409, "state_conflict")
    check("active cannot become destroyed" in found["detail"], found["detail"])
    equal(change_key(system, key, "deactivate").status, 200, "over")
    found = problem(approve(system, request), 409, "state_conflict")
    check("1 records still depend" in found["detail"], found["detail"])
    equal(pay(system, token).status, 200, "it opens")
    equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased")
    done = approve(system, request)
    equal((done.status, done.json["state"]), (200, "done"), f"now it can be: {done!r}")
    refused = [one["event"] for one in system.audit() if one["outcome"] == "state_conflict"
               and one.get("object") == request["approval"]]
    equal(refused, ["key.approve"] * 2, "each attempt is in the log")
    attempts = [one for one in system.audit() if one["event"] == "key.approve"
                and one.get("object") == request["approval"]]
    equal({len(one["certificate"]) for one in attempts}, {64}, "with the certificate")


def keys_that_all_depends_on_are_not_moved_by_hand(system):
    system.token()
    for purpose in ("index", "fingerprint"):
        key = active_key(system, purpose=purpose)["id"]
        for what in ("suspend", "deactivate", "compromise", "destroy"):
            found = problem(change_key(system, key, what, body={"reason": "no"}), 409,
                            "state_conflict")
            check("found by" in found["detail"] or "replaces it first" in found["detail"],
                  found["detail"])
    kek = active_key(system, "kek")
    problem(change_key(system, kek["id"], "suspend"), 409, "state_conflict")


def a_compromised_wrapping_key_is_replaced_at_once(system):
    token, _ = fresh_key(system)
    kek = active_key(system, "kek")["id"]
    request = ask_for(system, kek, "compromise")
    fresh = active_key(system, "kek")["id"]
    check(fresh != kek, "another one wraps from here on")
    equal(key_of(system, kek)["state"], "deactivated", "and this one nothing")
    equal([one for one in keys_of(system) if one["parent"] == kek and one["state"] != "destroyed"],
          [], "nothing hangs from it")
    equal(approve(system, request).status, 200, "approved")
    equal(key_of(system, kek)["state"], "compromised", "final")
    equal(pay(system, token).status, 200, "cards open all along")


def requests_and_holds_survive_kill_9(system):
    seen = set()
    count = 0
    for count in rounds(2):
        begin = system.audit_size()
        token, key = fresh_key(system)
        request = ask_for(system, key, "compromise")
        system.kill("vault")
        system.start("vault")
        equal(key_of(system, key)["held"], True, "held")
        refused = wait_until(lambda: _answered(system, token), "the relay reaches the vault again")
        equal(refused.json["code"], "key_suspended", "no lease")
        # Both or neither: of the approval, the key's state and their entries.
        pid = system.part("vault", "keeper")
        caller = system.vault("security-2")
        caller.connect()
        try:
            caller.connection.request("POST", f"/v1/approvals/{request['approval']}")
            time.sleep(random.uniform(0, 0.01))  # An instant that is drawn: before, within, after.
            _kill(pid)
            caller.connection.getresponse().read()
        except OSError:
            pass
        caller.close()
        wait_until(lambda: _ready(system), "the vault is ready again")
        before = int(request["approval"].removeprefix("apr_")) - 1
        listed = system.vault("security").get(f"/v1/approvals?after={before}").json["approvals"][0]
        equal(listed["approval"], request["approval"], "the request")
        seen.add(listed["state"])
        state = {"waiting": "suspended", "done": "compromised"}[listed["state"]]
        equal(key_of(system, key)["state"], state, "as the request")
        approved = [one for one in system.audit(start=begin) if one["event"] == "approval.approve"
                    and one.get("object") == request["approval"]]
        equal(len(approved), 1 if state == "compromised" else 0, "and the log")
        if state == "suspended":
            equal(approve(system, request).status, 200, "it can be approved still")
    check(count < 20 or seen == {"waiting", "done"}, f"both were met: {seen}")


def _answered(system, token):
    answer = pay(system, token)
    return answer if answer.json.get("code") != "vault_unavailable" else None


def _ready(system):
    try:
        return system.is_ready("vault") and system.vault("security").get("/v1/keys").status == 200
    except OSError:
        return False


def _kill(pid):
    os.kill(pid, signal.SIGKILL)
