# SPDX-License-Identifier: Apache-2.0
"""Keys at the command line: moved, listed, exposed, proven gone; and the runbook, word for word."""
import hashlib
import json
import os
import re
import ssl
import subprocess

import schema
from custody import (active_key, approve, ask_for, change_key, fresh_key, let_go, paused_job, say,
                     tokens_under)
from harness import ROOT, VISA, check, equal, pay, problem, wait_until


def people_move_keys_at_the_command_line(system):
    for _ in range(20):
        system.token()
    token, key = fresh_key(system)
    check(f"{key:6}  dek  card" in say(system, "keys", "list", "--state", "active"), "in the list")
    check("data-encryption" in say(system, "keys", "show", str(key)), "alone")
    equal(json.loads(say(system, "keys", "show", str(key), "--json"))["id"], key, "for scripts")
    check("is suspended" in say(system, "keys", "suspend", str(key), "--reason", "a doubt"), "")
    said = say(system, "keys", "compromise", str(key), "--reason", "lost", "--within", "600")
    request = said.split(":")[0]
    check(f"cardkeep approvals approve {request}" in said, said)
    check(request in say(system, "approvals", "list"), "it waits")
    say(system, "approvals", "approve", request, code=1)
    say(system, "approvals", "approve", request, "--as", "custodian-1", code=4)
    job = paused_job(system, key)
    said = say(system, "approvals", "approve", request, "--as", "security-2")
    check("carried out" in said, said)
    check(request not in say(system, "approvals", "list"), "it waits no more")
    check(request in say(system, "approvals", "list", "--all"), "and is remembered")
    equal(pay(system, token).json["code"], "key_compromised", "no lease")
    let_go(system, job)
    for words in (("keys", "show", "x"), ("keys", "list", "--tenant", "a b"),
                  ("keys", "list", "--state", "foo"), ("keys", "list", "--purpose", "foo"),
                  ("approvals", "approve", "12"), ("keys", "compromise", "1", "--within", "0")):
        say(system, *words, code=2)
    say(system, "keys", "show", "999999", code=1)
    done = system.cardkeep("keys", "list", "--state", "foo")
    check("pre-active, active, suspended" in done.stderr and done.stdout == "", done.stderr)
    say(system, "keys", "list", "--state", "destroyed", "--purpose", "index")
    say(system, "keys", "exposure", "999999", code=1)


def _exposure(system, key, *more):
    return json.loads(say(system, "keys", "exposure", str(key), "--json", *more))


def the_blast_radius_of_a_key_is_in_the_log(system):
    start = system.audit_size()
    token, key = fresh_key(system)
    tokens = [token] + [system.token()["token"] for _ in range(2)]
    batch = system.vault().post("/v1/tokens/batch", {"cards": [
        {"number": VISA, "exp_month": 12, "exp_year": 2031} for _ in range(2)]})
    tokens += [one["token"] for one in batch.json["results"]]
    equal(pay(system, tokens[0]).status, 200, "one is opened")
    equal(pay(system, tokens[4]).status, 200, "and one of the batch")
    equal(system.vault().get(f"/v1/tokens/{tokens[1]}").status, 200, "one is shown")
    equal(change_key(system, key, "deactivate").status, 200, "over")
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
    said = say(system, "keys", "exposure", str(key))
    check("5 tokens: 5 times sealed" in said.splitlines()[1], said)
    between = opened[0]["ts"]
    equal(_exposure(system, key, "--to", between)["opened"], 1, "a window's end")
    equal(_exposure(system, key, "--from", between)["sealed"], 0, "a window's beginning")
    store = ("--store", system.path("data/vault"), "--verifier",
             system.path("keys/vault-signer.pub"))
    wait_until(lambda: _exposure(system, key, *store)["uses"] == found["uses"],
               "offline it is the same")
    done = system.cardkeep("keys", "exposure", str(key), "--store", system.path("data/vault"),
                           "--verifier", system.path("keys/relay-signer.pub"))
    equal((done.returncode, done.stdout), (1, ""), "another's key: the log is not believed")
    say(system, "keys", "exposure", str(key), "--store", system.path("data/vault"), code=2)
    kek = active_key(system, "kek")["id"]
    wide = _exposure(system, kek)
    check(key in wide["keys"] and set(tokens) <= {one["token"] for one in wide["uses"]},
          f"what wrapped it exposes it, too: {wide['keys']}")
    say(system, "keys", "exposure", str(key), "--from", "yesterday", code=2)


def what_a_rotation_moved_is_said_with_the_key_that_it_was_moved_to(system):
    token, key = fresh_key(system)
    asked = system.vault("security").post("/v1/rotations", {"what": "dek", "tenant": "demo",
                                                            "key": key})
    equal(asked.status, 202, f"{asked!r}")
    job = asked.json["job"]
    wait_until(lambda: system.vault("security").get(f"/v1/jobs/{job}").json["state"] == "done",
               "the job is done")
    system.token()
    moved = _exposure(system, active_key(system)["id"])["moved_here"]
    equal([(one["job"], one["from_key"], one["ended"]) for one in moved if one["job"] == job],
          [(job, key, True)], f"the job: {moved}")
    check(f"the exposure of key {key} names" in say(system, "keys", "exposure",
                                                   str(active_key(system)["id"])), "for people")
    found = _exposure(system, key)
    check(token in {one["token"] for one in found["uses"]}, "as it does")
    equal([one for one in found["moved_here"] if one["job"] == job], [], "nothing came to it")


def the_end_of_a_key_is_proven_offline(system):
    _, key = fresh_key(system)
    say(system, "keys", "prove", str(key), code=1)
    equal(change_key(system, key, "deactivate").status, 200, "over")
    for token in tokens_under(system, key):
        equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erased")
    request = ask_for(system, key, "destroy")
    equal(approve(system, request).status, 200, "destroyed")
    system.verified("vault")
    folder = system.path("proofs")
    os.mkdir(folder)
    said = say(system, "keys", "prove", str(key), "--to", folder)
    check(f"no record under key {key} remains" in said, said)
    check("by security and security-2" in said, said)
    equal(sorted(os.listdir(folder)), [f"key-{key}-destroyed.tlog-proof",
                                       f"key-{key}-statement.tlog-proof"], "two proofs")
    say(system, "keys", "prove", str(key), "--to", folder, code=2)  # Nothing is written over.
    verifier = ("--verifier", system.path("keys/vault-signer.pub"))
    offline = system.path("offline")
    os.mkdir(offline)
    done = system.cardkeep("keys", "prove", str(key), "--to", offline, "--store",
                           system.path("data/vault"), *verifier)
    equal((done.returncode, os.listdir(offline) == [] ), (0, False), f"offline: {done.stderr}")
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


def _typed(system, first, line):
    """What one types, after the first line of the book, in the folder that it says."""
    done = subprocess.run(["bash", "-c", f"{first} && {line}"], cwd=system.folder, text=True,
                          capture_output=True, timeout=120, check=False,
                          env={**os.environ, "PATH": f"{system.build}:{os.environ['PATH']}"})
    equal(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")
    return done.stdout


def the_runbook_is_followed_word_for_word(system):
    """keys/ROTATE.md, as a new security engineer would: what is in capitals comes from what the
    commands before have said."""
    with open(os.path.join(ROOT, "keys/ROTATE.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```sh\n(.*?)```", file.read(), re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    equal(len(lines), 17, f"the steps of the book: {lines}")
    token, said, known = system.token()["token"], {}, {"TENANT": "demo"}
    for number, line in enumerate(lines):
        if "keys compromise" in line:
            token = system.token()["token"]
            listed = said["cardkeep keys list --state active"] = _typed(
                system, lines[0], "cardkeep keys list --state active --purpose card")
            known["KEY"] = re.search(r"^ *(\d+) +dek +card ", listed, re.M).group(1)
        for name, value in known.items():
            line = re.sub(rf"\b{name}\b", value, line)
        check(not re.search(r"\b(KEY|REQUEST|TENANT)\b", line), f"step {number} is clear: {line}")
        said[line] = _typed(system, lines[0], line)
        found = re.match(r"(apr_\d+):", said[line])
        if found:
            known["REQUEST"] = found.group(1)
        if "keys compromise" in line:
            equal(pay(system, token).json["code"], "key_suspended", "as the book says")
        if "rotate dek" in line and "compromise" in line:
            equal(pay(system, token).status, 200, "the cards open again")
        if "keys destroy" in line:
            system.verified("vault")
        if "approve" in line and "destroy" in lines[number - 1]:
            system.verified("vault")  # Ten seconds for a person.
    check("no record under key" in said[line], said[line])


def the_inventory_is_whole_and_as_its_schema_says(system):
    system.token(cvv="123")
    found = json.loads(say(system, "keys", "inventory", "--json"))
    equal(schema.trouble(found, schema.load("keys/inventory.schema.json")), [], "the schema")
    made = {one["key"]["id"] for one in system.audit() if one["event"].startswith("key.")
            and "key" in one}
    equal({one["id"] for one in found["keys"]}, made | set(range(1, max(made) + 1)),
          "every key that was ever stored")
    with open(system.path("keys/vault-signer.pub"), encoding="utf-8") as file:
        equal([one["verifier"] for one in found["signers"]], [file.read().strip()], "the signer")
    with open(system.path("tls/vault/vault.pem"), encoding="utf-8") as file:
        own = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
    listener, = [one for one in found["listeners"][0]["certificates"]
                 if one["role"] == "listener"]
    equal(listener["sha256"].replace(":", ""), own, "the listener's certificate")
    roles = [one["role"] for one in found["listeners"][0]["certificates"]]
    check("clients' authority" in roles, f"whom it believes: {roles}")
    equal(sorted(one["where"] for one in found["relay"]), ["api", "vault"], "the relay's")
    said = say(system, "keys", "inventory")
    for words in ("root key: seal 'file'", "Ed25519", "AES-256-GCM", "clients' authority",
                  "HMAC-SHA-256"):
        check(words in said, f"{words} in {said}")
    equal(system.vault("security").get("/v1/inventory").status, 200, "asked by hand")
    problem(system.vault("security").get("/v1/inventory?x=1"), 422, "unknown_field")
    problem(system.vault("shop").get("/v1/inventory"), 403, "denied")


def a_period_that_ends_is_said_a_month_before(system):
    ending = "keys whose period ends within 30 days"
    check(ending not in say(system, "status"), "a year is left")
    system.stop("vault")
    system.edit("vault.yaml", "policies:", "keys: {kek_period: 29d}\npolicies:")
    system.start("vault")
    say(system, "keys", "rotate", "kek", "--reason", "scheduled")
    wait_until(lambda: ending in say(system, "status"), "the status says so")
    check('"key_ends_soon"' in system.log("vault"), "and the log")
    found = json.loads(say(system, "keys", "inventory", "--json"))["ending"]
    kek = active_key(system, "kek")["id"]
    check(kek in {one["id"] for one in found}, f"and the inventory: {found}")
    system.stop("vault")
    system.edit("vault.yaml", "keys: {kek_period: 29d}\npolicies:", "policies:")
    system.start("vault")
    say(system, "keys", "rotate", "kek", "--reason", "scheduled")
    wait_until(lambda: ending not in say(system, "status"), "renewed, it is quiet again")


def what_somebody_has_to_do_something_about_is_in_the_status(system):
    _, key = fresh_key(system)
    request = ask_for(system, key, "compromise")
    held = "keys that a request holds back"
    wait_until(lambda: held in say(system, "status"), "the hold is in the status")
    equal(approve(system, request).status, 200, "approved")
    wait_until(lambda: held not in say(system, "status"), "it is no more")
    said = json.loads(say(system, "status", "--json"))
    check(any("compromised keys: " in one for one in said["warnings"]), f"{said}")
    equal((said["vault"]["state"], said["relay"]["state"]), ("ready", "ready"), "and all work")
