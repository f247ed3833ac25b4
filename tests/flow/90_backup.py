# SPDX-License-Identifier: Apache-2.0
"""Backups: taken at work, proven, restored on an empty machine; and an older store, which shows."""
import json
import os
import random
import re
import shutil
import subprocess
import threading
import time

import faults
from harness import CARDS, KEY, ROOT, check, equal, pay, problem, wait_until
from rounds import rounds

SOAK = True
SHUTS_S = 30
failing = {}
usual = {}


def prepare(system):
    failing.update(faults.install(system))
    usual["command"] = system.command


def _folder(system, daemon="vault"):
    return system.path("backups", daemon)


def _create(system, daemon="vault"):
    which = ["--relay"] if daemon == "relay" else []
    return system.cardkeep("backup", "create", "--json", *which)


def _taken(system, daemon="vault"):
    """A backup, waited for; what the command said of it."""
    done = _create(system, daemon)
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


def _files(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, _, names in os.walk(folder) for name in names)


def _modes(folder):
    """Files that others than their owner may touch."""
    return [name for name in _files(folder) if os.stat(os.path.join(folder, name)).st_mode & 0o077]


def _refusal(system, daemon):
    """Starts a daemon that is to refuse its store; the word that it asks for."""
    done = subprocess.run(usual["command"](daemon), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=SHUTS_S, check=False)
    equal(done.returncode, 2, f"the {daemon} refuses: {done.stderr}")
    return re.search(r"[0-9]+:[0-9a-f]{64}:[0-9]+", done.stderr).group()


def _accepting(system, daemon, word):
    """Starts it with the operator's word."""
    system.command = lambda name: (usual["command"](name) +
                                   (["--accept-rollback", word] if name == daemon else []))
    system.start(daemon)


def _events(system, daemon, event):
    return [one for one in system.audit(daemon) if one["event"] == event]


def _open_all(system, cards):
    """Leases {token: number}; each must be the card that was stored."""
    tokens = list(cards)
    name = "".join(random.choices("abcdefgh", k=16))  # No digits that could be a number.
    wants = [{"submission_id": f"sub_{name}{at}", "destination": "sandbox",
              "purpose": "payment", "on_behalf_of": "shop", "tokens": tokens[at:at + 8],
              "cvv_tokens": []} for at in range(0, len(tokens), 8)]
    found = {}
    for at in range(0, len(wants), 64):
        answer = system.vault("relay").post("/v1/leases", {"leases": wants[at:at + 64]},
                                            shows_cards=True)
        equal(answer.status, 200, f"leasing: {answer.status}")
        for one in answer.json["results"]:
            check("cards" in one, f"a lease is refused: {one}")
            found.update({card["token"]: card["number"] for card in one["cards"]})
    equal(found == cards, True, f"of {len(cards)} tokens {len(found)} open to their cards")


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


def a_backup_that_the_disk_has_no_room_for_fails_by_name_and_leaves_nothing(system):
    for daemon, caller in (("vault", system.vault), ("relay", system.relay)):
        pay(system, system.token()["token"])
        before = _files(_folder(system, daemon))
        ids = [one["id"] for one in _listed(system, daemon)]
        with failing[daemon].on(f"write ENOSPC {_folder(system, daemon)}"):
            done = _create(system, daemon)
        equal(done.returncode, 1, f"{daemon}: {done.stdout}{done.stderr}")
        equal(json.loads(done.stdout)["code"], "no_space", f"the name: {done.stdout}")
        equal(caller("operator").get("/v1/backups").json["last"]["state"], "failed", "the state")
        equal(_events(system, daemon, "backup.end")[-1]["outcome"], "no_space", "the entry")
        equal([one["id"] for one in _listed(system, daemon)], ids, "those that there were")
        equal(_files(_folder(system, daemon)), before, "nothing of it is left")
        equal(_offline(system, "verify", daemon=daemon).returncode, 0, "the newest is whole")
        _taken(system, daemon)


def one_is_taken_at_a_time(system):
    for daemon, caller in (("vault", system.vault), ("relay", system.relay)):
        with failing[daemon].on(f"sync hold {_folder(system, daemon)}"):
            equal(caller("operator").post("/v1/backups").status, 202, "the first")
            problem(caller("operator").post("/v1/backups"), 409, "state_conflict")
            check(caller("operator").get("/v1/backups").json["running"], "it goes on")
        wait_until(lambda c=caller: not c("operator").get("/v1/backups").json["running"],
                   "it ends")
        equal(caller("operator").get("/v1/backups").json["last"]["state"], "done", "how")


def killed_while_it_takes_one_the_older_ones_stay_whole(system):
    """At another instant each time: what a round leaves, the next one works with."""
    for round_at in rounds(2):
        for _ in range(5):
            system.token()
        ids = [one["id"] for one in _listed(system)][-3:]
        equal(system.vault("operator").post("/v1/backups").status, 202, "it begins")
        time.sleep((round_at * 7 % 10) * 0.008)  # Not waited for anything: any instant will do.
        system.kill("vault")
        rows = [one["id"] for one in _listed(system)]
        check(set(ids) <= set(rows), f"{ids} in {rows}")
        for one in ids[-1:] + rows[-1:]:
            done = _offline(system, "verify", "--id", str(one))
            equal(done.returncode, 0, f"round {round_at}, backup {one}: {done.stderr}")
        system.start("vault")
        _taken(system)
        equal([name for name in _files(_folder(system)) if name.endswith(".tmp")], [],
              "nothing half-made is left")


def a_damaged_backup_is_found_by_verify_and_not_restored(system):
    spared = _taken(system)["id"]
    system.token()
    made = _taken(system)["id"]
    older = set(_files(_folder(system)))
    shared = [name for name in older if name.startswith("shared_checksum/")]
    newest = max(shared, key=lambda name: os.stat(os.path.join(_folder(system), name)).st_mtime_ns)
    path = os.path.join(_folder(system), newest)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    target = system.path("data", "never")
    for verb, more in (("verify", []), ("restore", ["--to", target])):
        done = _offline(system, verb, "--id", str(made), *more)
        equal(done.returncode, 1, f"{verb}: {done.stdout}{done.stderr}")
        check("damaged" in done.stderr and "checksum" in done.stderr, f"it says so: {done.stderr}")
    equal([name for name in os.listdir(system.path("data")) if "never" in name], [],
          "nothing of it appears")
    equal(_offline(system, "verify", "--id", str(spared)).returncode, 0, "the one before is whole")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(byte)
    equal(_offline(system, "verify", "--id", str(made)).returncode, 0, "as is this one again")
    done = _offline(system, "restore", "--to", system.path("data", "vault"))
    equal(done.returncode, 2, f"over a store: {done.stderr}")


def one_is_taken_by_the_clock(system):
    system.edit("relay.yaml", "backup: {folder: backups/relay, keep: 7}",
                "backup: {folder: backups/relay-clock, keep: 2, every: 24h}")
    system.stop("relay")
    system.start("relay")
    wait_until(lambda: _events(system, "relay", "backup.end")[-1]["object"] == "backup/1" and
               len(_events(system, "relay", "backup.create")) >= 4, "the first is due at once")
    entry = _events(system, "relay", "backup.create")[-1]
    equal((entry["actor"], entry["detail"]), ("relay", "by the clock"), f"{entry}")
    check("every: 86400s" in system.check_config("relay").stdout, "as --check says")
    system.edit("relay.yaml", "backup: {folder: backups/relay-clock, keep: 2, every: 24h}",
                "backup: {folder: backups/relay, keep: 7}")
    system.stop("relay")
    system.start("relay")


def _runbook():
    """The commands of vault/RESTORE.md, in their order."""
    with open(os.path.join(ROOT, "vault/RESTORE.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```sh\n(.*?)```", file.read(), re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def _by_the_book(system, line):
    return subprocess.run(["bash", "-c", line], cwd=system.folder, capture_output=True, text=True,
                          timeout=120, check=False,
                          env={**os.environ, "PATH": f"{system.build}:{os.environ['PATH']}"})


def _machine_lost(system):
    """Everything dies and goes, but for what RESTORE.md says to keep; the signer's memory too."""
    for name in ("vault", "relay"):
        system.kill(name)
    place = os.path.join(os.path.dirname(system.folder), "machine")
    os.mkdir(place, 0o700)
    for name in ("tls", "keys", "backups"):
        shutil.copytree(system.path(name), os.path.join(place, name))
    for name in ("seal.key", "policies.yaml", "vault.yaml", "relay.yaml", "cli.yaml"):
        shutil.copy2(system.path(name), os.path.join(place, name))
    shutil.rmtree(system.folder)
    system.folder = place
    system.contexts.clear()
    with open(system.log_path("sandbox"), "wb"):
        pass  # It runs on, and its log went with the rest.


def _load(system, cards, stop, slowest):
    caller = system.vault()
    while not stop.is_set():
        number = CARDS[len(cards) % 6]
        began = time.monotonic()
        answer = caller.post("/v1/tokens", {"number": number, "exp_month": 12, "exp_year": 2031})
        slowest.append(time.monotonic() - began)
        equal(answer.status, 201, f"under load: {answer!r}")
        cards[answer.json["token"]] = number


def what_was_acknowledged_before_a_backup_under_load_opens_on_an_empty_machine(system):
    stop, slowest = threading.Event(), []
    found = [{} for _ in range(3)]
    threads = [threading.Thread(target=_load, args=(system, cards, stop, slowest))
               for cards in found]
    for one in threads:
        one.start()
    wait_until(lambda: sum(map(len, found)) > 150, "there is load")
    before = {token: number for cards in found for token, number in dict(cards).items()}
    answered = len(slowest)
    made = _taken(system)
    _taken(system, "relay")
    check(len(slowest) > answered, "requests are answered meanwhile")
    check(max(slowest) < 5, f"none waits for it: {max(slowest):.2f} s")
    stop.set()
    for one in threads:
        one.join()
    equal(_listed(system)[-1]["id"], made["id"], "the newest")
    _machine_lost(system)

    book = _runbook()
    equal(len(book), 6, f"the steps of the book: {book}")
    for line in book[:4]:
        done = _by_the_book(system, line)
        equal(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")
    check("all of it holds" in done.stdout, f"every record opens: {done.stdout}")
    done = _by_the_book(system, book[4])
    equal(done.returncode, 2, f"{book[4]}: {done.stderr}")
    word = re.search(r'"accept_rollback":"([^"]+)"', done.stderr).group(1)
    usual["words"] = book[5].replace("SIZE:ROOT:EPOCH", word).split()
    equal(usual["words"][1:4], ["--config", "vault.yaml", "--accept-rollback"], "the last step")
    system.command = lambda name: (
        [os.path.join(system.build, usual["words"][0]), "--config", system.path("vault.yaml"),
         *usual["words"][3:]] if name == "vault" else usual["command"](name))
    system.start("vault")
    _open_all(system, before)
    system.verified("vault")
    entry, = _events(system, "vault", "store.rolled_back")
    check(entry["detail"].startswith("from 0 entries"), f"its memory is lost: {entry}")

    done = _offline(system, "restore", "--to", system.path("data", "relay"), daemon="relay")
    equal(done.returncode, 0, f"the ledger: {done.stderr}")
    _accepting(system, "relay", _refusal(system, "relay"))
    system.command = usual["command"]
    equal(pay(system, next(iter(before))).status, 200, "it pays again")
    for daemon in ("vault", "relay"):
        equal(system.verified(daemon)["epoch"], 2, f"the {daemon}'s log")
    wait_until(lambda: _events(system, "relay", "vault.rolled_back"), "the relay's log has it too")


def an_older_store_is_refused_until_somebody_says_that_it_may(system):
    kept = system.token()["token"]
    made = _taken(system)["id"]
    lost = system.token()["token"]
    system.verified("vault")
    system.kill("vault")
    shutil.rmtree(system.path("data", "vault"))
    done = _offline(system, "restore", "--id", str(made), "--to", system.path("data", "vault"))
    equal(done.returncode, 0, f"{done.stderr}")
    word = _refusal(system, "vault")
    size, root, epoch = word.split(":")
    equal(epoch, "3", f"the epoch of {word}")
    for wrong in (f"{int(size) + 1}:{root}:{epoch}", f"{size}:{'0' * 64}:{epoch}",
                  f"{size}:{root}:2"):
        done = subprocess.run(usual["command"]("vault") + ["--accept-rollback", wrong],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SHUTS_S, check=False)
        equal(done.returncode, 2, f"{wrong}: {done.stderr}")
    _accepting(system, "vault", word)
    equal(system.vault().get(f"/v1/tokens/{kept}").status, 200, "what it held")
    problem(system.vault().get(f"/v1/tokens/{lost}"), 404, "not_found")
    entry = _events(system, "vault", "store.rolled_back")[-1]
    equal((entry["object"], entry["actor"]), ("epoch/3", "keeper"), f"{entry}")
    check(re.match(rf"from [0-9]+ entries, root \S+, to {size} entries, root \S+; accepted by "
                   rf"user {os.getuid()}", entry["detail"]), f"both states and who: {entry}")
    heard = wait_until(lambda: [one for one in _events(system, "relay", "vault.rolled_back")
                                if one["object"] == "epoch/3"], "the relay's log has it")
    equal(heard[0]["detail"], entry["detail"], "the same in both logs")
    equal(system.verified("vault")["epoch"], 3, "the verified log says so")

    # Left in place the word does nothing more, not even for the same backup again.
    system.stop("vault")
    system.start("vault")
    equal(len(_events(system, "vault", "store.rolled_back")), 2, "no other entry")
    system.kill("vault")
    shutil.rmtree(system.path("data", "vault"))
    done = _offline(system, "restore", "--id", str(made), "--to", system.path("data", "vault"))
    equal(done.returncode, 0, f"{done.stderr}")
    done = subprocess.run(system.command("vault"), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=SHUTS_S, check=False)
    equal(done.returncode, 2, f"the word was said for another time: {done.stderr}")
    system.command = usual["command"]
    _accepting(system, "vault", _refusal(system, "vault"))
    system.command = usual["command"]
    equal(system.verified("vault")["epoch"], 4, "another word, another epoch")


def every_record_is_opened_and_none_with_another_seal(system):
    system.stop("vault")
    config = ["--config", system.path("vault.yaml"), "--verify-store"]
    verify = [os.path.join(system.build, "cardkeep-vault"), *config]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
    # Another seal: not a record opens.
    os.rename(system.path("seal.key"), system.path("seal.right"))
    made = system.cardkeep("dev", "init", os.path.join(os.path.dirname(system.folder), "other"),
                           config=False)
    equal(made.returncode, 0, made.stderr)
    other = os.path.join(os.path.dirname(system.folder), "other")
    shutil.copy2(os.path.join(other, "seal.key"), system.path("seal.key"))
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 1, f"with another seal: {done.stdout}{done.stderr}")
    os.replace(system.path("seal.right"), system.path("seal.key"))
    shutil.rmtree(other)
    system.start("vault")
    equal(system.relay().get("/v1/payments/none", headers=KEY).status < 500, True, "all goes on")
