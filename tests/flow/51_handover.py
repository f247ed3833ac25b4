# SPDX-License-Identifier: Apache-2.0
"""The root key in other hands: asked for by one, approved by another, and the old shares are dead;
and whether the shares that there are would open a backup."""
import json
import os

from ceremonies import (FIVE, SIXTH, Custodians, digest_of, entries, killed, post, prepared,
                        restart, state)
from harness import check, equal, problem, wait_until
from rounds import rounds

SOAK = True
here = {}  # What one test leaves for the next: custodians, a token.


def prepare(system):
    here["custodians"] = prepared(system)


def a_vault_is_opened_by_five_custodians(system):
    custodians = here["custodians"]
    custodians.init()
    custodians.ceremony()
    wait_until(lambda: state(system)["state"] == "sealed", "its seal")
    custodians.unseal(*FIVE[1:4])
    here["token"] = system.token()["token"]


def _rekey(system, custodians):
    """Asked by one, approved by another; the ceremony's id."""
    done = system.cardkeep("rekey", "--json", "--threshold", "2", "--reason", "custodian-left",
                           *custodians.names)
    equal(done.returncode, 0, done.stderr)
    approval = json.loads(done.stdout)["approval"]
    done = system.cardkeep("approvals", "approve", approval, "--as", "security-2")
    equal(done.returncode, 0, done.stderr)
    return state(system)["ceremony"]["id"]


def _opens(system, *who):
    here["custodians"].unseal(*who)
    equal(system.vault().get(f"/v1/tokens/{here['token']}").status, 200, "its card")


def a_new_root_is_asked_for_by_one_and_approved_by_another(system):
    wanted = {"threshold": 2, "custodians": ["custodian-2", "custodian-3", SIXTH],
              "within_seconds": 600, "reason": "custodian-left"}
    problem(post(system, "security", "rekey", {**wanted, "threshold": 4}), 422, "invalid_field",
            "/threshold")
    answer = post(system, "security", "rekey", wanted)
    equal((answer.status, answer.json["detail"]), (202, wanted), f"{answer!r}")
    check("ceremony" not in state(system), "nothing begins by that")
    problem(post(system, "security-2", "rekey", wanted), 409, "state_conflict")
    path = f"/v1/approvals/{answer.json['approval']}"
    problem(system.vault("security").post(path), 409, "state_conflict")
    answer = system.vault("security-2").post(path)
    equal((answer.status, answer.json["result"]["ceremony"]["kind"]), (200, "rekey"), f"{answer!r}")
    entry = [entry for entry in entries(system, "seal.rekey") if entry["outcome"] == "ok"][-1]
    asked = entry["asked"]
    equal((entry["actor"], asked["by"]), ("security-2", "security"), "both in one entry")
    check(entry["certificate"] != asked["certificate"], "with their certificates")
    ceremony = answer.json["result"]["ceremony"]["id"]
    problem(post(system, "custodian-1", "accept", {
        "ceremony": ceremony, "public_key": "ckpub1", "duty": "accepted"}), 422, "invalid_field",
            "/public_key")
    answer = post(system, "security-2", "cancel", {"ceremony": ceremony, "reason": "a drill"})
    equal((answer.status, answer.json), (200, {"cancelled": ceremony}), f"{answer!r}")


def killed_at_any_step_of_rekey_the_old_shares_open(system):
    new = Custodians(system, ["custodian-2", "custodian-3", SIXTH])
    steps = [lambda: None, lambda: new.accept(SIXTH),
             lambda: [new.accept(who) for who in new.names[:2]],
             lambda: [new.collect(who) for who in new.names[:2]]]
    for turn in rounds(len(steps)):
        _rekey(system, new)
        for step in steps[:turn % len(steps) + 1]:
            step()
        found = killed(system)
        equal((found["state"], found["threshold"], found["custodians"], "ceremony" in found),
              ("sealed", 3, FIVE, False), "the old seal")
        if new.shares:
            done = new.give("custodian-2")
            check("of another set" in done.stderr, f"a share that never was in force: {done}")
        _opens(system, *FIVE[:3])


def with_the_last_proof_the_new_shares_are_in_force_and_the_old_ones_dead(system):
    old, new = here["custodians"], Custodians(system, ["custodian-2", "custodian-3", SIXTH])
    before = state(system)
    ceremony = _rekey(system, new)
    for who in new.names[:2]:
        new.accept(who)
    os.unlink(new.key(SIXTH))  # A new one for a new ceremony.
    made = system.cardkeep("custodian", "key", "--json", new.path(SIXTH), config=False)
    answer = post(system, SIXTH, "accept", {
        "ceremony": ceremony, "duty": "accepted",
        "public_key": json.loads(made.stdout)["public_key"]})
    equal((answer.status, answer.json["done"]), (200, False), f"{answer!r}")
    new.collect("custodian-2")
    done = new.run("custodian-3", "custodian", "collect", "--json", "--key",
                   new.key("custodian-3"), text="")
    new.shares["custodian-3"] = json.loads(done.stdout.splitlines()[0])["share"]
    answer = post(system, "custodian-3", "confirm", {
        "ceremony": ceremony, "digest": digest_of(new.shares["custodian-3"])})
    equal((answer.status, answer.json["done"]), (200, False), f"{answer!r}")
    equal(system.cardkeep("seal").returncode, 0, "sealed in the middle of it")
    problem(post(system, SIXTH, "confirm", {"ceremony": ceremony, "digest": "0" * 64}), 503,
            "sealed")
    _opens(system, "custodian-1", "custodian-4", "custodian-5")
    equal(new.collect(SIXTH), True, "the last one")
    after = state(system)
    equal((after["state"], after["threshold"], after["custodians"]), ("open", 2, new.names),
          "the new seal, and it stayed open")
    check(after["set"] != before["set"], "another set")
    check(f"shares, set {after['set']}, 2 of 3" in entries(system, "seal.change")[-1]["detail"],
          "the entry")
    equal(system.vault().get(f"/v1/tokens/{here['token']}").status, 200, "its card")
    equal(restart(system)["state"], "sealed", "the state")
    for who in ("custodian-2", "custodian-3"):
        done = old.give(who)
        check("of another set" in done.stderr, f"an old share: {done.stderr}")
    done = old.give("custodian-1")
    check("no custodian of this vault's seal" in done.stderr, f"who has left: {done.stderr}")
    here["custodians"] = new
    here["old"] = old
    _opens(system, SIXTH, "custodian-2")


def a_store_is_checked_with_its_shares_and_not_without(system):
    custodians = here["custodians"]
    two = [custodians.shares[who] for who in custodians.names[:2]]

    def run(*lines):
        return system.cardkeep("store", "check", "--verifier",
                               system.path("keys/vault-signer.pub"), system.path("vault.yaml"),
                               config=False, text="".join(line + "\n" for line in lines))
    system.verified("vault")
    done = run(*two)
    equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
    check("all of it holds" in done.stdout, done.stdout)
    for lines, words in (([], "2 of them are wanted"), (two[:1], "and 1 came"),
                         ([two[0], two[0]], "was given already"),
                         ([two[0], two[1][:-3] + "qqq"], "(bad input)")):
        done = run(*lines)
        equal(done.returncode, 2, f"{lines}: {done.stdout}")
        check(words in done.stdout, f"{words}: {done.stdout}")
        check(not any(line in done.stdout + done.stderr for line in two), "no share is repeated")


def a_rehearsal_opens_a_backup_and_touches_nothing(system):
    """All of it with shares on standard input; and the record of it in the log."""
    new, old = here["custodians"], here["old"]
    done = system.cardkeep("backup", "create")
    equal(done.returncode, 0, done.stderr)

    def rehearse(*shares, more=()):
        done = system.cardkeep("rehearse", "--from", system.path("backups/vault"), "--verifier",
                               system.path("keys/vault-signer.pub"), system.path("vault.yaml"),
                               *more, text="".join(share + "\n" for share in shares))
        return done.returncode, done.stdout, done.stderr
    size = system.audit_size()
    code, out, error = rehearse(new.shares["custodian-2"], new.shares[SIXTH])
    equal(code, 0, out + error)
    check("opens with these shares, to the last row" in out, out)
    entry = [one for one in system.audit(start=size) if one["event"] == "seal.rehearse"]
    equal([(one["actor"], one["detail"]) for one in entry], [("security", "backup 1, good")],
          "the entry")
    for shares, said in (((new.shares[SIXTH],), "and 1 came"),
                         ((new.shares[SIXTH], new.shares[SIXTH]), "was given already"),
                         ((new.shares[SIXTH], old.shares["custodian-2"]), "of another set"),
                         ((new.shares[SIXTH][:-1],), "Behind ckshare1"),
                         ([old.shares[who] for who in FIVE[:3]], "of another set")):
        code, out, error = rehearse(*shares)
        check(code == 2 and said in out + error, f"{said}: {code} {out} {error}")
    check(state(system)["state"] == "open", "the vault that runs goes on")
    problem(post(system, "shop", "rehearsed", {}), 403, "denied")
    problem(post(system, "security", "rehearsed", {"backup": 0, "result": "good"}), 422,
            "invalid_field", "/backup")
    answer = post(system, "security", "rehearsed", {"backup": 1, "result": "bad"})
    equal((answer.status, answer.json), (200, {"recorded": True}), f"{answer!r}")
    equal(post(system, "security", "rehearsed", {"backup": 1, "result": "good"}).status, 200, "")
