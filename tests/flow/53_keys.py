# SPDX-License-Identifier: Apache-2.0
"""Keys: who may move them, what two persons must agree on, and what a key's state does to cards."""
import json
import os
import signal

from harness import VISA, check, equal, pay, problem, wait_until
from rounds import rounds

SOAK = True


def _keys(system, **filters):
    """Every key that matches, page by page."""
    caller, found, after = system.vault("security"), [], 0
    while True:
        query = "&".join(f"{name}={value}" for name, value in
                         {**filters, "after": after, "limit": 3}.items())
        answer = caller.get(f"/v1/keys?{query}")
        equal(answer.status, 200, f"listing keys: {answer!r}")
        found += answer.json["keys"]
        if not answer.json["more"]:
            return found
        after = answer.json["keys"][-1]["id"]


def _key(system, key_id):
    answer = system.vault("security").get(f"/v1/keys/{key_id}")
    equal(answer.status, 200, f"key {key_id}: {answer!r}")
    return answer.json


def _active(system, level="dek", purpose="card"):
    found = [one for one in _keys(system, purpose=purpose, state="active")
             if one["level"] == level]
    equal(len(found), 1, f"active keys: {found}")
    return found[0]


def _change(system, key_id, what, who="security", body=None):
    return system.vault(who).post(f"/v1/keys/{key_id}/{what}", body or {})


def _ask(system, key_id, what, who="security", **body):
    answer = _change(system, key_id, what, who, {"reason": "a laptop was lost", **body})
    equal(answer.status, 202, f"asking to {what}: {answer!r}")
    return answer.json


def _approve(system, request, who="security-2"):
    return system.vault(who).post(f"/v1/approvals/{request['approval']}")


def _fresh_key(system):
    """A card under a key that the next ones are not sealed under."""
    token = system.token()["token"]
    return token, _active(system)["id"]


def _lease(system, token):
    """The result of a lease that the relay asks for."""
    answer = system.vault("relay").post("/v1/leases", {"leases": [
        {"submission_id": f"sub_{os.urandom(6).hex()}", "destination": "sandbox",
         "purpose": "payment", "on_behalf_of": "shop", "tokens": [token], "cvv_tokens": []}]})
    equal(answer.status, 200, f"leasing: {answer!r}")
    return answer.json["results"][0]


def the_list_is_filtered_and_paged(system):
    system.token(cvv="123")
    every = _keys(system)
    equal([one["id"] for one in every], list(range(1, len(every) + 1)), "ids without a gap")
    for name in ("purpose", "state"):
        for value in {one[name] for one in every}:
            equal(_keys(system, **{name: value}), [one for one in every if one[name] == value],
                  f"{name}={value}")
    equal(_keys(system, tenant="nobody"), [], "another's keys")
    for query in ("state", "colour=red", "after=x", "limit=-1", "state=active&state=active"):
        equal(system.vault("security").get(f"/v1/keys?{query}").status, 422, query)


def a_key_is_shown_with_everything_but_its_bytes(system):
    system.token()
    shown = _active(system)
    equal(_key(system, shown["id"]), shown, "the same in the list and alone")
    equal((shown["bits"], shown["level"], shown["tenant"]), (256, "dek", "demo"), "facts")
    check(shown["uses"] >= 1, f"it was used: {shown}")
    check(shown["expires_at"] > shown["created_at"], "it has a period")
    for name in ("999999", "0", "-1", "x", "1x", "key_1"):
        problem(system.vault("security").get(f"/v1/keys/{name}"), 404, "not_found")
        for what in ("suspend", "compromise", "destroy"):
            problem(_change(system, name, what), 404, "not_found")
    for body in ({"reason": ""}, {"reason": 1}, {"reason": "x" * 201}):
        problem(_change(system, shown["id"], "suspend", body=body), 422, "invalid_field", "/reason")
    problem(_change(system, shown["id"], "suspend", body={"force": True}), 422, "unknown_field")
    problem(_change(system, shown["id"], "suspend", body={"reason": f"card {VISA}"}), 422,
            "card_in_free_text", "/reason")
    equal(_key(system, shown["id"])["state"], "active", "as it was")


def who_lacks_the_right_neither_sees_nor_moves_a_key(system):
    system.token()
    key = _active(system)["id"]
    for who in ("shop", "relay", "auditor", "operator", "custodian-1"):
        problem(system.vault(who).get("/v1/keys"), 403, "denied")
        problem(system.vault(who).get(f"/v1/keys/{key}"), 403, "denied")
        problem(system.vault(who).get("/v1/approvals"), 403, "denied")
        problem(system.vault(who).post("/v1/approvals/apr_1"), 403, "denied")
        problem(system.vault(who).delete("/v1/approvals/apr_1"), 403, "denied")
        for what in ("suspend", "activate", "deactivate", "compromise", "destroy"):
            problem(_change(system, key, what, who), 403, "denied")
    equal(_key(system, key)["state"], "active", "as it was")


def one_person_suspends_and_activates(system):
    token, key = _fresh_key(system)
    equal(_change(system, key, "suspend").json["state"], "suspended", "suspended")
    other = system.token()["token"]
    check(_active(system)["id"] != key, "what comes next has another key")
    for one in (token, other):
        equal(pay(system, one).status, 200, "both cards open")
    problem(_change(system, key, "activate"), 409, "state_conflict")
    other = _active(system)["id"]
    equal(_change(system, other, "deactivate").json["state"], "deactivated", "the other")
    equal(_change(system, key, "activate").json["state"], "active", "active again")
    equal(_change(system, key, "deactivate").json["state"], "deactivated", "and over")
    for what in ("activate", "suspend", "deactivate"):
        found = problem(_change(system, key, what), 409, "state_conflict")
        check("800-57" in found["detail"], found["detail"])
    events = [one["event"] for one in system.audit() if one.get("key", {}).get("id") == key]
    for event in ("key.suspend", "key.activate", "key.deactivate", "key.change"):
        check(event in events, f"{event} in {events}")


def a_request_for_compromise_holds_the_key_at_once_and_its_approval_is_final(system):
    token, key = _fresh_key(system)
    equal(pay(system, token).status, 200, "it opens")
    request = _ask(system, key, "compromise")
    equal((request["state"], request["kind"], request["target"]),
          ("waiting", "key.compromise", f"key/{key}"), "the request")
    shown = _key(system, key)
    equal((shown["state"], shown["held"]), ("suspended", True), "held")
    refused = pay(system, token)
    equal((refused.status, refused.json["code"]), (503, "key_suspended"), "no lease")
    equal(_lease(system, token)["code"], "key_suspended", "asked by hand")
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "its mask is shown")
    problem(_change(system, key, "activate"), 409, "state_conflict")
    done = _approve(system, request)
    equal((done.status, done.json["state"]), (200, "done"), f"approved: {done!r}")
    equal(done.json["result"]["key"]["state"], "compromised", "final")
    refused = pay(system, token)
    equal((refused.status, refused.json["code"]), (503, "key_compromised"), "no lease")
    equal(_lease(system, token)["code"], "key_compromised", "asked by hand")
    problem(system.vault().get(f"/v1/tokens/{token}"), 503, "key_compromised")
    equal(pay(system, system.token()["token"]).status, 200, "new cards have another key")
    check('"key_compromised"' in system.log("vault"), "an alarm in the log")
    problem(_change(system, key, "compromise", body={"reason": "again"}), 409, "state_conflict")


def both_persons_and_both_certificates_are_in_the_log(system):
    _, key = _fresh_key(system)
    request = _ask(system, key, "compromise")
    equal(_approve(system, request).status, 200, "approved")
    entries = [one for one in system.audit() if one.get("object") == request["approval"]]
    equal([(one["event"], one["actor"]) for one in entries],
          [("approval.ask", "security"), ("approval.approve", "security-2")], "the two")
    for one in entries:
        equal(one["asked"]["by"], "security", "who asked")
        equal(len(one["certificate"]), 64, "a SHA-256")
    equal(entries[0]["certificate"], entries[1]["asked"]["certificate"], "the same request")
    check(entries[0]["certificate"] != entries[1]["certificate"], "two certificates")


def the_same_person_cannot_be_both(system):
    _, key = _fresh_key(system)
    request = _ask(system, key, "compromise", who="security-2")
    found = problem(_approve(system, request, "security-2"), 409, "state_conflict")
    check("somebody else" in found["detail"], found["detail"])
    equal(_key(system, key)["state"], "suspended", "not final")
    equal(_approve(system, request, "security").status, 200, "somebody else can")
    problem(_approve(system, request, "security"), 409, "state_conflict")


def a_request_is_made_once_and_ends_once(system):
    _, key = _fresh_key(system)
    request = _ask(system, key, "compromise")
    found = problem(_change(system, key, "compromise", "security-2", {"reason": "too"}), 409,
                    "state_conflict")
    check(request["approval"] in found["detail"], found["detail"])
    cancel = system.vault("security-2").delete(f"/v1/approvals/{request['approval']}")
    equal((cancel.status, cancel.json["state"]), (200, "cancelled"), f"{cancel!r}")
    equal(_key(system, key)["held"], False, "the hold is over")
    problem(_approve(system, request), 409, "state_conflict")
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
    token, key = _fresh_key(system)
    request = _ask(system, key, "compromise", within_seconds=1)
    wait_until(lambda: any(one.get("object") == request["approval"] and
                           one["event"] == "approval.expire" for one in system.audit()),
               "its end is in the log")
    found = problem(_approve(system, request), 409, "state_conflict")
    check("ask for it again" in found["detail"], found["detail"])
    equal(pay(system, token).json["code"], "key_suspended", "held all the same")
    late = system.vault("security").get("/v1/approvals?state=expired").json["approvals"]
    equal([one["approval"] for one in late], [request["approval"]], "what is late")
    again = _ask(system, key, "compromise")
    equal(system.vault("security").delete(f"/v1/approvals/{again['approval']}").status, 200, "")
    equal(pay(system, token).status, 200, "who cancels lets it go")
    for seconds in (0, -1, 8 * 86400, "1"):
        problem(_change(system, key, "compromise", body={"within_seconds": seconds}), 422,
                "invalid_field", "/within_seconds")


def a_key_with_records_is_not_destroyed(system):
    token, key = _fresh_key(system)
    problem(_change(system, key, "destroy"), 409, "state_conflict")
    equal(_change(system, key, "deactivate").status, 200, "first it must be over")
    found = problem(_change(system, key, "destroy"), 409, "state_conflict")
    check("still depend" in found["detail"], found["detail"])
    equal(pay(system, token).status, 200, "it opens")


def two_destroy_a_key_that_nothing_needs(system):
    tokens = [system.token()["token"]]
    key = _active(system)["id"]
    equal(_change(system, key, "deactivate").status, 200, "over")
    spare = system.token()["token"]  # Under the next key; the first one's records go.
    under = _under(system, key)
    for token in under:
        equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased")
    check(tokens[0] in under and spare not in under, "the log knows what is under a key")
    request = _ask(system, key, "destroy")
    problem(_approve(system, request, "security"), 409, "state_conflict")
    done = _approve(system, request)
    equal(done.status, 200, f"destroyed: {done!r}")
    equal(done.json["result"]["key"]["state"], "destroyed", "gone")
    check(f"no record under key {key} remains" in done.json["result"]["statement"], "said so")
    entry = [one for one in system.audit() if one["event"] == "key.statement"][-1]
    equal((entry["object"], entry["key"]["id"], entry["asked"]["by"], entry["actor"]),
          (f"key/{key}", key, "security", "security-2"), "the statement")
    problem(_change(system, key, "destroy"), 409, "state_conflict")


def _under(system, key):
    """Tokens that the log says were sealed under a key."""
    found = []
    for one in system.audit():
        if one["event"] != "card.tokenize" or one["outcome"] != "ok":
            continue
        if one.get("key", {}).get("id") == key:
            found.append(one["object"])
        found += [item["object"] for item in one.get("items", ())
                  if item.get("key", {}).get("id") == key]
    gone = {one["object"] for one in system.audit() if one["event"] == "card.delete"}
    return [token for token in dict.fromkeys(found) if token not in gone]


def keys_that_all_depends_on_are_not_moved_by_hand(system):
    system.token()
    for purpose in ("index", "fingerprint"):
        key = _active(system, purpose=purpose)["id"]
        for what in ("suspend", "deactivate", "compromise", "destroy"):
            problem(_change(system, key, what, body={"reason": "no"}), 409, "state_conflict")
    kek = _active(system, "kek")
    problem(_change(system, kek["id"], "suspend"), 409, "state_conflict")


def a_compromised_wrapping_key_is_replaced_at_once(system):
    token, _ = _fresh_key(system)
    kek = _active(system, "kek")["id"]
    request = _ask(system, kek, "compromise")
    fresh = _active(system, "kek")["id"]
    check(fresh != kek, "another one wraps from here on")
    equal(_key(system, kek)["state"], "deactivated", "and this one nothing")
    equal([one for one in _keys(system) if one["parent"] == kek and one["state"] != "destroyed"],
          [], "nothing hangs from it")
    equal(_approve(system, request).status, 200, "approved")
    equal(_key(system, kek)["state"], "compromised", "final")
    equal(pay(system, token).status, 200, "cards open all along")


def _say(system, *words, code=0):
    done = system.cardkeep(*words)
    equal(done.returncode, code, f"cardkeep {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout if code == 0 else done.stderr


def people_move_keys_at_the_command_line(system):
    token, key = _fresh_key(system)
    check(f"{key:6}  dek  card" in _say(system, "keys", "list", "--state", "active"), "in the list")
    check("data-encryption" in _say(system, "keys", "show", str(key)), "alone")
    equal(json.loads(_say(system, "keys", "show", str(key), "--json"))["id"], key, "for scripts")
    check("is suspended" in _say(system, "keys", "suspend", str(key), "--reason", "a doubt"), "")
    said = _say(system, "keys", "compromise", str(key), "--reason", "lost", "--within", "600")
    request = said.split(":")[0]
    check(f"cardkeep approvals approve {request}" in said, said)
    check(request in _say(system, "approvals", "list"), "it waits")
    _say(system, "approvals", "approve", request, code=1)
    _say(system, "approvals", "approve", request, "--as", "custodian-1", code=4)
    said = _say(system, "approvals", "approve", request, "--as", "security-2")
    check("carried out" in said, said)
    check(request not in _say(system, "approvals", "list"), "it waits no more")
    check(request in _say(system, "approvals", "list", "--all"), "and is remembered")
    equal(pay(system, token).json["code"], "key_compromised", "no lease")
    for words in (("keys", "show", "x"), ("keys", "list", "--state", "a b"),
                  ("approvals", "approve", "12"), ("keys", "compromise", "1", "--within", "0")):
        _say(system, *words, code=2)
    _say(system, "keys", "show", "999999", code=1)


def _exposure(system, key, *more):
    return json.loads(_say(system, "keys", "exposure", str(key), "--json", *more))


def the_blast_radius_of_a_key_is_in_the_log(system):
    equal(_change(system, _fresh_key(system)[1], "deactivate").status, 200, "the next is its own")
    start = system.audit_size()
    tokens = [system.token()["token"] for _ in range(3)]
    key = _active(system)["id"]
    batch = system.vault().post("/v1/tokens/batch", {"cards": [
        {"number": VISA, "exp_month": 12, "exp_year": 2031} for _ in range(2)]})
    tokens += [one["token"] for one in batch.json["results"]]
    equal(pay(system, tokens[0]).status, 200, "one is opened")
    equal(pay(system, tokens[4]).status, 200, "and one of the batch")
    equal(system.vault().get(f"/v1/tokens/{tokens[1]}").status, 200, "one is shown")
    equal(_change(system, key, "deactivate").status, 200, "over")
    other = system.token()["token"]
    found = _exposure(system, key)
    equal((found["tokens"], found["sealed"], found["opened"], found["shown"], found["whole"]),
          (5, 5, 2, 1, True), "how many")
    equal({one["token"] for one in found["uses"]}, set(tokens), "which")
    equal(found["by"], [{"principal": "shop", "uses": 8}], "by whom")
    opened = [one for one in found["uses"] if one["action"] == "opened"]
    equal([(one["token"], one["by"], one["on_behalf_of"], one["destination"]) for one in opened],
          [(tokens[0], "relay", "shop", "sandbox"), (tokens[4], "relay", "shop", "sandbox")],
          "who opened what, for whom, to where")
    check(all(one["from"].startswith("127.0.0.1") and one["seq"] >= start
              for one in found["uses"]), "from where")
    check(other not in json.dumps(found), "and nothing else")
    said = _say(system, "keys", "exposure", str(key))
    check("5 tokens: 5 times sealed" in said.splitlines()[1], said)
    between = opened[0]["ts"]
    equal(_exposure(system, key, "--to", between)["opened"], 1, "a window's end")
    equal(_exposure(system, key, "--from", between)["sealed"], 0, "a window's beginning")
    store = ("--store", system.path("data/vault"), "--verifier",
             system.path("keys/vault-signer.pub"))
    wait_until(lambda: _exposure(system, key, *store)["uses"] == found["uses"],
               "offline it is the same")
    kek = _active(system, "kek")["id"]
    wide = _exposure(system, kek)
    check(key in wide["keys"] and set(tokens) <= {one["token"] for one in wide["uses"]},
          f"what wrapped it exposes it, too: {wide['keys']}")
    _say(system, "keys", "exposure", str(key), "--from", "yesterday", code=2)


def the_end_of_a_key_is_proven_offline(system):
    _, key = _fresh_key(system)
    _say(system, "keys", "prove", str(key), code=1)
    equal(_change(system, key, "deactivate").status, 200, "over")
    for token in _under(system, key):
        equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased")
    request = _ask(system, key, "destroy")
    equal(_approve(system, request).status, 200, "destroyed")
    system.verified("vault")
    folder = system.path("proofs")
    os.mkdir(folder)
    said = _say(system, "keys", "prove", str(key), "--to", folder)
    check(f"no record under key {key} remains" in said, said)
    check("by security and security-2" in said, said)
    equal(sorted(os.listdir(folder)), [f"key-{key}-destroyed.tlog-proof",
                                       f"key-{key}-statement.tlog-proof"], "two proofs")
    _say(system, "keys", "prove", str(key), "--to", folder, code=2)  # Nothing is written over.
    verifier = ("--verifier", system.path("keys/vault-signer.pub"))
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        done = system.cardkeep("keys", "prove", "--check", path, "--json", *verifier, config=False)
        equal(done.returncode, 0, done.stderr)
        proven = json.loads(done.stdout)
        equal((proven["good"], proven["key"]), (True, key), "offline")
        done = system.cardkeep("keys", "prove", "--check", path, "--verifier",
                               system.path("keys/relay-signer.pub"), config=False)
        equal(done.returncode, 1, "another's key proves nothing")
        with open(path, "rb") as file:
            data = bytearray(file.read())
        data[data.index(b"extra ") + 40] ^= 1
        with open(path + ".bad", "wb") as file:
            file.write(data)
        done = system.cardkeep("keys", "prove", "--check", path + ".bad", *verifier, config=False)
        equal(done.returncode, 1, f"a changed entry: {done.stdout}")


def requests_and_holds_survive_kill_9(system):
    for _ in rounds(2):
        token, key = _fresh_key(system)
        request = _ask(system, key, "compromise")
        system.kill("vault")
        system.start("vault")
        equal(_key(system, key)["held"], True, "held")
        refused = wait_until(lambda: _answered(system, token), "the relay reaches the vault again")
        equal(refused.json["code"], "key_suspended", "no lease")
        # Both or neither: of the approval, the key's state and their entries.
        pid = system.part("vault", "keeper")
        caller = system.vault("security-2")
        caller.connect()
        try:
            caller.connection.request("POST", f"/v1/approvals/{request['approval']}")
            _kill(pid)
            caller.connection.getresponse().read()
        except OSError:
            pass
        caller.close()
        wait_until(lambda: _ready(system), "the vault is ready again")
        listed = [one for one in system.vault("security").get("/v1/approvals").json["approvals"]
                  if one["approval"] == request["approval"]]
        state = {"waiting": "suspended", "done": "compromised"}[listed[0]["state"]]
        equal(_key(system, key)["state"], state, "as the request")
        approved = [one for one in system.audit() if one.get("object") == request["approval"]
                    and one["event"] == "approval.approve"]
        equal(len(approved), 1 if state == "compromised" else 0, "and the log")
        if state == "suspended":
            equal(_approve(system, request).status, 200, "it can be approved still")


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
