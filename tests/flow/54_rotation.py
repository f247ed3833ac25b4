# SPDX-License-Identifier: Apache-2.0
"""Rotation: keys get successors while cards come and go; jobs move what is under the old ones, and
end in statements whose counts are right, whoever was killed meanwhile."""
import json
import os
import re
import threading
import time

from harness import MASTERCARD, VISA, check, equal, pay, problem, published, wait_until
from rounds import many, rounds

SOAK = True
ALONE = True  # It measures.
JOB_S = many(90, 1800)  # Patience with a job on a busy machine.


def prepare(system):
    """The shop may compare cards, to see whether they are still the same."""
    system.edit("policies.yaml", "  - id: shop-pays\n",
                "  - id: shop-matches\n    effect: allow\n    actions: [card.match]\n"
                "    principals: [shop]\n    tenants: [demo]\n  - id: shop-pays\n")


def _rotate(system, what, status=202, **more):
    body = {"what": what, **({} if what == "kek" else {"tenant": "demo"}), **more}
    answer = system.vault("security").post("/v1/rotations", body)
    equal(answer.status, status, f"rotating {body}: {answer!r}")
    return answer.json


def _job(system, job):
    answer = system.vault("security").get(f"/v1/jobs/{job['job']}")
    equal(answer.status, 200, f"{job['job']}: {answer!r}")
    return answer.json


def _say(system, job, verb, **body):
    answer = system.vault("security").post(f"/v1/jobs/{job['job']}/{verb}", body)
    equal(answer.status, 200, f"{job['job']} {verb}: {answer!r}")
    return answer.json


def _ended(system, job):
    def ended():
        found = _job(system, job)
        check(found["state"] != "failed", f"it failed: {found}")
        return found if found["state"] == "done" else None
    return wait_until(ended, f"{job['job']} ends: {_job(system, job)}", JOB_S)


def _keys(system, **wanted):
    """Every key of these facts."""
    found, after = [], 0
    while True:
        answer = system.vault("security").get(f"/v1/keys?after={after}&limit=500").json
        found += answer["keys"]
        if not answer["more"]:
            break
        after = found[-1]["id"]
    return [one for one in found if all(one[name] == value for name, value in wanted.items())]


def _active(system, purpose="card", level="dek"):
    found = _keys(system, purpose=purpose, level=level, state="active", tenant="demo")
    equal(len(found), 1, f"active keys: {found}")
    return found[0]["id"]


def _cards(system, count):
    """So many tokens, of every card that is published."""
    numbers, tokens = published(), []
    while len(tokens) < count:
        part = min(500, count - len(tokens))
        cards = [{"number": numbers[index % len(numbers)], "exp_month": 12, "exp_year": 2031}
                 for index in range(part)]
        answer = system.vault().post("/v1/tokens/batch", {"cards": cards})
        equal(answer.status, 200, f"a batch: {answer!r}")
        tokens += [one["token"] for one in answer.json["results"]]
    return tokens


def _records(system):
    """How many there are: what a job that moves nothing looks at."""
    return _ended(system, _rotate(system, "fingerprint"))["scanned"]


def _opens(system, tokens):
    for token in tokens:
        answer = system.vault("relay").post("/v1/leases", {"leases": [
            {"submission_id": f"sub_{os.urandom(6).hex()}", "destination": "sandbox",
             "purpose": "payment", "on_behalf_of": "shop", "tokens": [token], "cvv_tokens": []}]},
            shows_cards=True)
        equal(answer.status, 200, f"leasing: {answer!r}")
        check("lease_id" in answer.json["results"][0], f"it opens: {answer.json['results'][0]}")


def _statements(system, start, key):
    return [one for one in system.audit(start=start)
            if one["event"] == "key.statement" and one["object"] == f"key/{key}"]


class _Load:
    """Cards that come and go while something else happens; each answer must be a good one."""

    def __init__(self, system):
        self.system, self.done, self.count, self.failures = system, threading.Event(), 0, []
        self.threads = [threading.Thread(target=work) for work in (self._tokenize, self._pay)]

    def _tokenize(self):
        caller = self.system.vault()
        while not self.done.is_set():
            answer = caller.post("/v1/tokens",
                                 {"number": VISA, "exp_month": 12, "exp_year": 2031})
            self._note(answer.status == 201, answer)

    def _pay(self):
        token = self.system.token(MASTERCARD)["token"]
        while not self.done.is_set():
            answer = pay(self.system, token)
            self._note(answer.status == 200, answer)

    def _note(self, good, answer):
        self.count += 1
        if not good:
            self.failures.append(repr(answer)[:300])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.count > 10 or self.failures, "the load runs")
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()
        equal(self.failures, [], f"failures among {self.count} requests")


def a_kek_is_rotated_under_load_and_no_record_moves(system):
    tokens = _cards(system, 20)
    before = {one["id"]: one for one in _keys(system)}
    start = system.audit_size()
    with _Load(system):
        answer = _rotate(system, "kek", 200, reason="custodian-left")
    keks = [one for one in before.values() if one["level"] == "kek" and one["state"] == "active"]
    equal(answer, {"what": "kek", "rotated": len(keks)}, "every KEK that there was")
    after = {one["id"]: one for one in _keys(system)}
    for kek in keks:
        equal(after[kek["id"]]["state"], "deactivated", f"key {kek['id']}")
    for one in before.values():
        if one["level"] == "dek" and one["purpose"] != "cvv" and one["state"] != "destroyed":
            check(after[one["id"]]["parent"] != one["parent"], f"key {one['id']} hangs elsewhere")
            equal(after[one["id"]]["state"], one["state"], "and is what it was")
    _opens(system, tokens[:5])
    entries = [one for one in system.audit(start=start) if one["event"] == "key.rotate"]
    check("custodian-left" in entries[0]["detail"], f"the reason is on record: {entries}")


def cards_move_to_a_new_key_under_load(system):
    tokens = _cards(system, 600)
    old = _active(system)
    start = system.audit_size()
    with _Load(system):
        job = _rotate(system, "dek", reason="scheduled")
        done = _ended(system, job)
    check(done["moved"] >= 600, f"they were moved: {done}")
    check(done["scanned"] >= done["moved"], f"and looked at: {done}")
    found = _statements(system, start, old)
    equal(len(found), 1, "one statement for the key")
    equal(found[0]["detail"], f"no record under key {old} remains: {done['scanned']} scanned, "
          f"{done['moved']} moved by {job['job']}", "what it says")
    _opens(system, tokens[::100])
    again = _ended(system, _rotate(system, "dek", key=old, reason="compromise"))
    equal((again["key"], again["reason"]), (old, "compromise"), "as it was asked for")
    equal(again["moved"], 0, "nothing is under it")


def a_job_is_paused_and_resumed_and_goes_at_its_rate(system):
    _cards(system, 1000)
    job = _rotate(system, "dek", rate=400)
    wait_until(lambda: _job(system, job)["scanned"] > 0, "it runs")
    paused = _say(system, job, "pause")
    equal(paused["state"], "paused", "at once")
    _cards(system, 1)  # Whose turn lets a job that runs ride along.
    equal(_job(system, job), paused, "it stands still")
    problem(system.vault("security").post(f"/v1/jobs/{job['job']}/pause"), 409, "state_conflict")
    begun = time.monotonic()
    at = _say(system, job, "resume")["scanned"]
    problem(system.vault("security").post(f"/v1/jobs/{job['job']}/resume"), 409, "state_conflict")
    now = wait_until(lambda: next(
        (one for one in [_job(system, job)] if one["scanned"] >= at + 200), None), "it goes on")
    check((now["scanned"] - at) / (time.monotonic() - begun) < 600, "no faster than it may")
    equal(_say(system, job, "rate", rate=0)["rate"], None, "as fast as it can")
    done = _ended(system, job)
    check(done["moved"] >= 1000, f"all of them: {done}")
    for verb, body in (("pause", {}), ("resume", {}), ("rate", {"rate": 1})):
        problem(system.vault("security").post(f"/v1/jobs/{job['job']}/{verb}", body), 409,
                "state_conflict")
    listed = system.vault("security").get("/v1/jobs").json["jobs"]
    equal(listed[-1], done, "the list has it")
    events = [one["event"] for one in system.audit()
              if one.get("object") == job["job"] and one["event"].startswith("job.")]
    equal(events, ["job.begin", "job.pause", "job.resume", "job.rate", "job.end"], "its story")


def a_key_that_took_new_cards_meanwhile_is_not_stated_empty(system):
    def state(key, verb):
        answer = system.vault("security").post(f"/v1/keys/{key}/{verb}", {})
        equal(answer.status, 200, f"key {key} {verb}: {answer!r}")
    _cards(system, 5)
    key = _active(system)
    state(key, "suspend")
    _cards(system, 1)
    job = _rotate(system, "dek", key=key, rate=1)
    _say(system, job, "pause")
    state(_active(system), "deactivate")
    state(key, "activate")
    _cards(system, 1)
    equal(_active(system), key, "it encrypts again")
    state(key, "suspend")
    start = system.audit_size()
    _say(system, job, "rate", rate=1000000)
    _say(system, job, "resume")
    _ended(system, job)
    said = [one for one in system.audit(start=start) if one["event"] == "key.statement" and
            one.get("key", {}).get("id") == key]
    equal(said, [], "a statement about a key that has a card")
    _ended(system, _rotate(system, "dek", key=key))
    said = [one for one in system.audit(start=start) if one["event"] == "key.statement" and
            one.get("key", {}).get("id") == key]
    equal(len(said), 1, "a job that began behind it empties the key, and says so")


def a_job_survives_every_kill_and_counts_right(system):
    count, cards = _records(system), many(1500, 1000000)
    tokens = _cards(system, cards)
    old, start = _active(system), system.audit_size()
    job, at, kills = _rotate(system, "dek", rate=many(1000, 50000)), 0, 0
    for _ in rounds(10):
        found = wait_until(lambda: next(  # pylint: disable=cell-var-from-loop
            (one for one in [_job(system, job)] if one["scanned"] > at or one["state"] == "done"),
            None), "it goes on", JOB_S)
        if found["state"] == "done":
            break
        at = found["scanned"]
        system.kill("vault")
        system.start("vault")
        kills += 1
    check(kills >= 5, f"it was killed {kills} times")
    _say_if_running(system, job)
    done = _ended(system, job)
    equal((done["scanned"], done["moved"]), (count + cards, _under(system, start, old, job)),
          f"the counts, after {kills} kills: {done}")
    _opens(system, tokens[::cards // 5])
    equal(_ended(system, _rotate(system, "dek", key=old))["moved"], 0, "nothing was left behind")


def _say_if_running(system, job):
    """Faster from here on, where there is something left."""
    answer = system.vault("security").post(f"/v1/jobs/{job['job']}/rate", {"rate": 0})
    check(answer.status in (200, 409), f"{answer!r}")


def _under(system, start, key, job):
    """What the statement about the key says was moved; the counts in it are the job's."""
    found = _statements(system, start, key)
    equal(len(found), 1, f"one statement about key {key}")
    equal(found[0]["detail"].split(" by ")[-1], job["job"], "of that job")
    return int(found[0]["detail"].split(" scanned, ")[1].split()[0])


def every_record_changes_its_suite_and_back(system):
    tokens = _cards(system, 50)
    for suite in ("xchacha20-poly1305", "aes-256-gcm"):
        done = _ended(system, _rotate(system, "dek", suite=suite))
        equal(done["suite"], suite, "as it was asked for")
        equal(done["moved"], done["scanned"], "every record")
        _opens(system, tokens[::10])
        equal(pay(system, tokens[0]).status, 200, "a payment")


def a_card_stays_the_same_card_through_a_fingerprint_rotation(system):
    tokens = _cards(system, 30)
    before = _card_ids(system, tokens)
    old, start = _active(system, "fingerprint"), system.audit_size()
    job = _rotate(system, "fingerprint", rate=1)
    # Some are known by the old key alone, and some by the new one; and new ones come meanwhile.
    again = _card_ids(system, _cards(system, 30))
    equal(again, before, "the same cards, while it runs")
    _say(system, job, "pause")
    equal(_card_ids(system, tokens), before, "and their tokens of before")
    system.vault().delete(f"/v1/tokens/{tokens[0]}")
    _say(system, job, "resume")
    _say(system, job, "rate", rate=0)
    done = _ended(system, job)
    check(done["moved"] > 0, f"some were moved: {done}")
    equal(len(_statements(system, start, old)), 1, f"a statement about key {old}")
    equal(_card_ids(system, tokens[1:]), before[1:], "the same cards afterwards")
    equal(_card_ids(system, _cards(system, 30)), before, "and for those who come later")
    _destroy(system, old)
    equal(_card_ids(system, _cards(system, 30)), before, "without the old key")


def _card_ids(system, tokens):
    """As the operator's tenant sees them: which tokens are of one card."""
    found = []
    for token in tokens:
        answer = system.vault().get(f"/v1/tokens/{token}")
        equal(answer.status, 200, f"{answer!r}")
        found.append(answer.json["card_id"])
    return found


def _destroy(system, key):
    answer = system.vault("security").post(f"/v1/keys/{key}/destroy", {"reason": "rotated"})
    equal(answer.status, 202, f"asking: {answer!r}")
    answer = system.vault("security-2").post(f"/v1/approvals/{answer.json['approval']}")
    equal(answer.status, 200, f"approving: {answer!r}")
    equal(_keys(system, id=key)[0]["state"], "destroyed", f"key {key}")


def keys_that_end_while_nobody_asks_are_on_record_before_the_stop(system):
    system.stop("vault")
    system.edit("vault.yaml", "policies:", "keys: {dek_period: 1s}\npolicies:")
    system.start("vault")
    _cards(system, 1)
    over = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > over, "the key's period is over, and the vault saw it")
    system.stop("vault")
    done = system.cardkeep("audit", "tail", "--count", "4", "--store", system.path("data", "vault"),
                           config=False)
    lines = done.stdout.splitlines()
    check("audit.stop" in lines[-1], f"the last entry: {done.stdout}{done.stderr}")
    check(any("key.deactivate" in line for line in lines[:-1]), f"before it: {done.stdout}")
    system.edit("vault.yaml", "keys: {dek_period: 1s}\n", "")
    system.start("vault")


def _emptied(system, key):
    """Asks for the job and not for what the log says: with many cards that is long, and who reads
    all of it again and again holds up the job, which gives way to requests."""
    job = wait_until(lambda: next(
        (one for one in system.vault("security").get("/v1/jobs").json["jobs"]
         if one["key"] == key), None), "a job that empties it", JOB_S)
    return _ended(system, job)


def a_compromised_key_is_emptied_by_itself(system):
    tokens = _cards(system, 40)
    key, start = _active(system), system.audit_size()
    answer = system.vault("security").post(f"/v1/keys/{key}/compromise", {"reason": "lost"})
    equal(answer.status, 202, f"asking: {answer!r}")
    answer = system.vault("security-2").post(f"/v1/approvals/{answer.json['approval']}")
    equal(answer.status, 200, f"approving: {answer!r}")
    _emptied(system, key)
    equal(len(_statements(system, start, key)), 1, "its statement")
    _opens(system, tokens[::8])
    _destroy(system, key)
    _opens(system, tokens[::8])


def who_lacks_the_right_rotates_nothing(system):
    job = _rotate(system, "dek")
    for who in ("shop", "relay", "auditor", "operator", "custodian-1"):
        caller = system.vault(who)
        problem(caller.post("/v1/rotations", {"what": "kek"}), 403, "denied")
        problem(caller.get("/v1/jobs"), 403, "denied")
        problem(caller.get(f"/v1/jobs/{job['job']}"), 403, "denied")
        for verb in ("pause", "resume", "rate"):
            problem(caller.post(f"/v1/jobs/{job['job']}/{verb}"), 403, "denied")
    _ended(system, job)


def what_cannot_be_rotated_is_refused_with_its_field(system):
    caller = system.vault("security")
    for body, status, code, field in (
            ({}, 422, "missing_field", "/what"),
            ({"what": "root"}, 422, "invalid_field", "/what"),
            ({"what": "dek"}, 422, "missing_field", "/tenant"),
            ({"what": "dek", "tenant": "nobody"}, 422, "invalid_field", "/tenant"),
            ({"what": "kek", "tenant": "nobody"}, 422, "invalid_field", "/tenant"),
            ({"what": "kek", "key": 1}, 422, "invalid_field", "/key"),
            ({"what": "kek", "rate": 1}, 422, "invalid_field", "/rate"),
            ({"what": "dek", "tenant": "demo", "key": 999999}, 422, "invalid_field", "/key"),
            ({"what": "dek", "tenant": "demo", "key": 0}, 422, "invalid_field", "/key"),
            ({"what": "dek", "tenant": "demo", "rate": 0}, 422, "invalid_field", "/rate"),
            ({"what": "dek", "tenant": "demo", "suite": "rot13"}, 422, "invalid_field", "/suite"),
            ({"what": "dek", "tenant": "demo", "reason": "fun"}, 422, "invalid_field", "/reason"),
            ({"what": "dek", "tenant": "demo", "soon": True}, 422, "unknown_field", "/soon")):
        problem(caller.post("/v1/rotations", body), status, code, field)
    kek = _keys(system, level="kek")[0]["id"]
    problem(caller.post("/v1/rotations", {"what": "dek", "tenant": "demo", "key": kek}), 422,
            "invalid_field", "/key")
    for name in ("job_0", "job_999999", "job_x", "x"):
        problem(caller.get(f"/v1/jobs/{name}"), 404, "not_found")
        for verb in ("pause", "resume"):
            problem(caller.post(f"/v1/jobs/{name}/{verb}"), 404, "not_found")
        problem(caller.post(f"/v1/jobs/{name}/rate", {"rate": 1}), 404, "not_found")


def _say_cli(system, *words, code=0):
    done = system.cardkeep("keys", *words)
    equal(done.returncode, code, f"keys {words}: {done.stdout}{done.stderr}")
    return done


def the_command_line_rotates_and_watches_and_pauses(system):
    tokens = _cards(system, 300)
    said = _say_cli(system, "rotate", "kek", "--reason", "custodian-left").stdout
    check(re.fullmatch(r"[1-9]\d* KEKs have a successor, and no record moved\n", said), said)
    said = _say_cli(system, "rotate", "dek", "--tenant", "demo", "--rate", "200").stdout
    job = re.search(r"cardkeep keys watch (job_\d+)\n", said)[1]
    check(" paused " in _say_cli(system, "pause", job).stdout, "paused")
    at = _job(system, {"job": job})["scanned"]
    equal(json.loads(_say_cli(system, "watch", job, "--json").stdout)["scanned"], at,
          "what stands still is not waited for")
    check(" running " in _say_cli(system, "resume", job).stdout, "resumed")
    check(job in _say_cli(system, "rate", "--rate", "0", job).stdout, "the rate")
    done = _say_cli(system, "watch", job)
    check(re.search(rf"{job} +re-encryption +done +demo +100 %  \d+ scanned, \d+ moved",
                    done.stdout), done.stdout)
    equal(done.stderr, "", "no bar where nobody sits")
    found = json.loads(_say_cli(system, "rotate", "fingerprint", "--tenant", "demo", "--watch",
                                "--json", "--as", "security-2").stdout)
    equal((found["state"], found["by"]), ("done", "security-2"), "to its end")
    check(f"{found['job']} " in _say_cli(system, "jobs").stdout, "in the list")
    equal(json.loads(_say_cli(system, "jobs", "--json").stdout)["jobs"][-1], found, "as JSON, too")
    _opens(system, tokens[::100])
    for words in (("rotate",), ("rotate", "dek", "--rate", "0"), ("pause", "x"), ("rate", job),
                  ("watch", "job_"), ("resume", "job_1x")):
        check(_say_cli(system, *words, code=2).stderr, "a sentence")
    check("There is no such thing" in _say_cli(system, "watch", "job_99999", code=1).stderr,
          "in the vault's words")


def keys_get_successors_by_themselves_when_their_period_is_over(system):
    """And what a fingerprint key leaves behind moves without anybody's asking."""
    tokens = _cards(system, 20)
    before = _card_ids(system, tokens)
    system.stop("vault")
    system.edit("vault.yaml", "policies:", "keys: {kek_period: 2s, dek_period: 2s, "
                "fingerprint_period: 3s}\npolicies:")
    system.start("vault")
    # Those of before have the periods that they were made with.
    _rotate(system, "kek", 200)
    _ended(system, _rotate(system, "fingerprint"))
    old = _active(system, "fingerprint")
    start = system.audit_size()
    with _Load(system):
        wait_until(lambda: _active(system, "fingerprint") != old, "it has a successor", JOB_S)
        wait_until(lambda: len(_keys(system, level="kek", state="deactivated")) >= 3,
                   "KEKs are replaced, too", JOB_S)
    # With a period of seconds there is another key to empty before one is empty.
    system.stop("vault")
    system.edit("vault.yaml", "keys: {kek_period: 2s, dek_period: 2s, fingerprint_period: 3s}\n",
                "")
    system.start("vault")
    equal(_emptied(system, old)["by"], "schedule", "who emptied it")
    found = _statements(system, start, old)
    check("no fingerprint under key" in found[0]["detail"], f"{found}")
    equal(_card_ids(system, tokens), before, "and cards are what they were")
    _opens(system, tokens[::5])
