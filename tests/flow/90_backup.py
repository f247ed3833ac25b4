# SPDX-License-Identifier: Apache-2.0
"""Backups: taken at work, proven, restored on an empty machine."""
import json
import os

from harness import check, equal, problem, wait_until


def _folder(system, daemon="vault"):
    return system.path("backups", daemon)


def _taken(system, daemon="vault"):
    """A backup, waited for; what the command said of it."""
    which = ["--relay"] if daemon == "relay" else []
    done = system.cardkeep("backup", "create", "--json", *which)
    equal(done.returncode, 0, f"backup create: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def _listed(system, daemon="vault"):
    done = system.cardkeep("backup", "list", "--json", "--from", _folder(system, daemon),
                           config=False)
    equal(done.returncode, 0, f"backup list: {done.stderr}")
    return json.loads(done.stdout)["backups"]


def _offline(system, verb, *more, daemon="vault"):
    """backup verify or restore."""
    return system.cardkeep("backup", verb, "--json", "--from", _folder(system, daemon),
                           "--verifier", system.path(f"keys/{daemon}-signer.pub"), *more,
                           config=False)


def _modes(folder):
    """Files that others than their owner may touch."""
    return [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names
            if os.stat(os.path.join(where, name)).st_mode & 0o077]


def a_backup_is_taken_for_who_may_and_nobody_else(system):
    for daemon in ("vault", "relay"):
        caller = getattr(system, daemon)
        for who in ("shop", "auditor", "relay"):
            problem(caller(who).post("/v1/backups"), 403, "denied")
            problem(caller(who).get("/v1/backups"), 403, "denied")
        equal(os.listdir(_folder(system, daemon)), [], "there is none yet")
        state = caller("operator").get("/v1/backups").json
        equal(state, {"configured": True, "running": False, "last": None}, "before the first one")
        answer = caller("operator").post("/v1/backups")
        equal(answer.status, 202, f"{answer!r}")
        state = wait_until(lambda c=caller: (lambda s: not s["running"] and s)(
            c("operator").get("/v1/backups").json), "it ends")
        equal((state["last"]["state"], state["last"]["id"]), ("done", 1), f"{state}")
        entries = [(one["event"], one["actor"], one["outcome"]) for one in system.audit(daemon)]
        for wanted in (("policy.deny", "shop", "denied"), ("backup.create", "operator", "ok"),
                       ("backup.end", "keeper" if daemon == "vault" else "relay", "ok")):
            check(wanted in entries, f"{daemon}: {wanted} in {entries}")
        equal(_modes(_folder(system, daemon)), [], "files that others may read")


def what_is_listed_says_what_it_holds_and_files_are_shared(system):
    for _ in range(40):
        system.token()
    first = _taken(system)
    system.token()
    second = _taken(system)
    rows = _listed(system)
    equal([one["id"] for one in rows[-2:]], [first["id"], second["id"]], "ids")
    check(rows[-1]["records"] > rows[-2]["records"] >= 40, f"records: {rows}")
    check(rows[-1]["entries"] > rows[-2]["entries"] >= 40, f"entries: {rows}")
    check(0 < rows[-1]["signed_entries"] <= rows[-1]["entries"], f"signed: {rows}")
    check(second["added_bytes"] < second["bytes"] / 2, f"what is there is not copied: {second}")
    for daemon in ("vault", "relay"):
        done = _offline(system, "verify", daemon=daemon)
        equal(done.returncode, 0, f"{daemon}: {done.stderr}")
        check(json.loads(done.stdout)["good"], done.stdout)
