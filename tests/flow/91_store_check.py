# SPDX-License-Identifier: Apache-2.0
"""What `cardkeep store check` finds: everything that can be done to a row, one row at a time and a
family at a time, in a store with some of everything in it."""
import datetime
import json
import os
import shutil
import subprocess
import tempfile

import store_files
from harness import AMEX, MASTERCARD, UNIONPAY_19, VISA, check, equal, pay, wait_until
from rounds import rounds

SOAK = True
STRIDE = 151  # Of the bytes of a row this test changes one in so many, from a drawn one on.
ROWS = 12     # Of each family about so many, drawn; now and then in a soak, each byte of every row.
PATIENCE_S = 3600
WAIT_S = 60


# What no look at one store can tell from what may have happened; vault/CHECK.md says why.
UNKNOWABLE = {("audit_checkpoints", "family_rolled_back", ""),
              ("meta", "rolled_back", b"records".hex()),
              ("meta", "rolled_back", b"unpurged".hex()),
              ("meta", "deleted", b"review".hex()), ("meta", "rolled_back", b"review".hex())}


def _unknowable(one):
    harm = (one["family"], one["harm"])
    return harm + ("",) in UNKNOWABLE or harm + (one["key"],) in UNKNOWABLE


def prepare(system):
    system.edit("policies.yaml", "  demo: {}", "  demo: {formats: [opaque, uuid, card], "
                "card_shaped: {keep_first: 6, keep_last: true}, one_token_per_card: true}")


def _check(system, *options, config=None):
    return system.cardkeep("store", "check", *options, config or system.path("vault.yaml"),
                           config=False)


def _verifier(system):
    return ["--verifier", system.path("keys/vault-signer.pub")]


def _lease(system, tokens, submission):
    want = {"submission_id": submission, "destination": "sandbox", "purpose": "payment",
            "on_behalf_of": "shop", "tokens": tokens}
    answer = system.vault("relay").post("/v1/leases", {"leases": [want]}, shows_cards=True)
    check("cards" in answer.json["results"][0], f"leasing: {answer!r}")


def _settle(system, submission, outcome):
    answer = system.vault("relay").post("/v1/settlements", {"settlements": [
        {"submission_id": submission, "outcome": outcome}]})
    equal(answer.json["results"][0].get("state"), "settled", f"settling: {answer!r}")


def _erase(system, token):
    equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "erasing")


def _repeat(system, key):
    answer = system.vault().post("/v1/tokens", {"number": VISA, "exp_month": 1, "exp_year": 2032},
                                 headers={"Idempotency-Key": key})
    equal(answer.status, 201, f"tokenizing: {answer!r}")


def _key(system, key_id, what, **body):
    answer = system.vault("security").post(f"/v1/keys/{key_id}/{what}", body)
    check(answer.status in (200, 202), f"{what}: {answer!r}")
    return answer.json


def _active_key(system):
    answer = system.vault("security").get("/v1/keys?purpose=card&state=active")
    return [one["id"] for one in answer.json["keys"] if one["level"] == "dek"][0]


def _ended(system, request, how):
    caller, path = system.vault("security-2"), f"/v1/approvals/{request['approval']}"
    answer = caller.post(path) if how == "approve" else caller.delete(path)
    equal(answer.status, 200, f"{how}: {answer!r}")


def _new_key(system, erase):
    """A card's key that gives way to another; its id.  Its one card may go."""
    system.token(VISA, single_use=True)
    _key(system, _active_key(system), "deactivate")
    token = system.token(VISA, single_use=True)["token"]
    key_id = _active_key(system)
    _key(system, key_id, "deactivate")
    if erase:
        _erase(system, token)
    return key_id


def _first_keys(system):
    """One key to destroy, one to declare compromised, as is asked; and one that is suspended."""
    made = {"empty": _new_key(system, True), "compromised": _new_key(system, False)}
    made["epoch"] = _new_key(system, False)
    system.token(VISA, single_use=True)
    made["suspended"] = _active_key(system)
    _key(system, made["suspended"], "suspend")
    made["ask"] = _key(system, made["compromised"], "compromise")
    made["dropped"] = _key(system, made["suspended"], "compromise")
    return made


def _first_jobs(system):
    """Two that move cards to a new key, held; what the earlier copy has of them is not the end."""
    made = []
    for what in ("dek", "fingerprint"):
        answer = system.vault("security").post("/v1/rotations", {
            "what": what, "tenant": "demo", "rate": 1})
        equal(answer.status, 202, f"rotating: {answer!r}")
        made.append(answer.json["job"])
        held = system.vault("security").post(f"/v1/jobs/{made[-1]}/pause", {})
        equal(held.status, 200, f"holding: {held!r}")
    return made


def _second_jobs(system, jobs):
    caller = system.vault("security")
    for job in jobs:
        equal(caller.post(f"/v1/jobs/{job}/rate", {"rate": 100000}).status, 200, "faster")
        equal(caller.post(f"/v1/jobs/{job}/resume", {}).status, 200, "going on")
        wait_until(lambda job=job: caller.get(f"/v1/jobs/{job}").json["state"] == "done",
                   f"{job} ends: {caller.get(f'/v1/jobs/{job}').json}", WAIT_S)


def _erasure(system, body, wait):
    answer = system.vault("security").post("/v1/erasures", body)
    equal(answer.status, 202, f"asking: {answer!r}")
    begun = answer.json
    if "approval" in begun:
        begun = system.vault("security-2").post(
            f"/v1/approvals/{begun['approval']}").json["result"]["erasure"]
    path = f"/v1/erasures/{begun['erasure']}"
    if wait:
        wait_until(lambda: system.vault("security").get(path).json["state"] == "done",
                   f"the erasure ends: {system.vault('security').get(path).json}", WAIT_S)


def _expiring(system):
    """A token that goes by itself before long."""
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
    return system.token(AMEX, single_use=True,
                        expires_at=soon.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z")["token"]


def _first_half(system, name):
    """What is there when the earlier copy is taken; the tokens that change afterwards."""
    made = {}
    paid = system.token(cvv="123")
    equal(pay(system, paid["token"], paid["cvv"]["token"]).status, 200, "paying")
    for format_ in ("opaque", "uuid", "card"):
        system.token(UNIONPAY_19, format=format_, metadata={"order": format_})
    made["erased"] = system.token(MASTERCARD)["token"]
    made["gone"] = system.token(MASTERCARD, single_use=True)["token"]
    for what in ("returned", "answered", "silent", "kept", "twice"):
        made[what] = system.token(AMEX, single_use=True)["token"]
    _erase(system, system.token(VISA, exp_year=2033)["token"])
    for what in ("returned", "answered", "silent"):
        _lease(system, [made[what]], f"sub_{name}_{what}")
    made["keys"] = _first_keys(system)
    made["jobs"] = _first_jobs(system)
    made["expires"] = _expiring(system)
    _repeat(system, f"{name}-first")
    answer = system.vault().post("/v1/tokens/batch", {"cards": [
        {"number": number, "exp_month": 12, "exp_year": 2034} for number in (VISA, AMEX, "1")]})
    equal(answer.status, 200, f"a batch: {answer!r}")
    return made


def _second_half(system, name, made):
    _erase(system, made["erased"])
    _settle(system, f"sub_{name}_returned", "not_sent")
    _settle(system, f"sub_{name}_answered", "answered")
    _settle(system, f"sub_{name}_silent", "sent_no_answer")
    _settle(system, f"sub_{name}_never", "not_sent")
    _lease(system, [made["twice"]], f"sub_{name}_twice_1")
    _settle(system, f"sub_{name}_twice_1", "not_sent")
    _lease(system, [made["twice"]], f"sub_{name}_twice_2")
    _lease(system, [made["kept"]], f"sub_{name}_kept")
    _settle(system, f"sub_{name}_silent", "answered")
    keys = made["keys"]
    _second_jobs(system, made["jobs"])
    _erasure(system, {"token": made["gone"], "tenant": "demo"}, True)
    _erasure(system, {"epoch": keys["epoch"]}, True)
    _ended(system, keys["ask"], "approve")
    _ended(system, keys["dropped"], "cancel")
    _key(system, keys["suspended"], "deactivate")
    _ended(system, _key(system, keys["empty"], "destroy"), "approve")
    wait_until(lambda: any(one["event"] == "card.expire" and made["expires"] in
                           [item.get("object") for item in one.get("items", [])]
                           for one in system.audit()), "the token went by itself")
    _repeat(system, f"{name}-second")
    system.token(VISA, exp_year=2035)


def a_sound_store_is_found_sound_beside_its_vault_and_at_rest(system):
    made = _first_half(system, "sound")
    _second_half(system, "sound", made)
    system.verified("vault")

    def sound():
        done = _check(system, *_verifier(system))
        # An entry that was committed while it looked is not yet under a checkpoint: that is fine.
        equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
        return done.stdout
    text = sound()
    check("all of it holds" in text and ", signed" in text, text)
    check("rows/s" in text, f"how fast it went: {text}")
    system.stop("vault")
    sound()
    done = _check(system, "--json")
    equal(done.returncode, 0, done.stdout)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    equal([one["verdict"] for one in lines], ["good"], "the one line")
    check("signatures were not asked" in lines[0]["summary"], "what it did not do, it says")
    system.start("vault")


def _break(system, store, older, every):
    how_many = ["1", "0"] if every else [str(STRIDE), str(ROWS)]
    done = subprocess.run(
        [os.path.join(system.build, "store_breaker"), store, older, system.path("seal.key"),
         "localhost/cardkeep/vault", system.path("keys/vault-signer.pub"), *how_many],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    equal(done.returncode, 0, done.stderr[-2000:])
    return json.loads(done.stdout)


def _counts(found):
    """{harm: (tried, found, named)}, and the families in which anything was tried."""
    table = {}
    families = set()
    for family, harms in found["tried"].items():
        for harm, tried in harms.items():
            one = table.setdefault(harm, [0, 0, 0])
            for at, name in enumerate(("tried", "found", "named")):
                one[at] += found[name][family][harm]
            if tried:
                families.add(family)
    return table, families


def whatever_is_done_to_a_row_is_found_and_named(system):
    for index in rounds(1):
        made = _first_half(system, f"harm{index}")
        system.verified("vault")
        system.stop("vault")
        folder = tempfile.mkdtemp(prefix="cardkeep-check-",
                                  dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        try:
            older, store = os.path.join(folder, "older"), os.path.join(folder, "store")
            shutil.copytree(system.path("data/vault"), older)
            system.start("vault")
            _second_half(system, f"harm{index}", made)
            system.verified("vault")
            system.stop("vault")
            shutil.copytree(system.path("data/vault"), store)
            found = _break(system, store, older, index % 50 == 49)
        finally:
            shutil.rmtree(folder)
        system.start("vault")
        equal([one for one in found["missed"] if not _unknowable(one)], [],
              "what was done and not found")
        hidden = [one["harm"] for one in found["missed"]]
        table, families = _counts(found)
        for harm, (tried, seen, named) in table.items():
            check(tried > 0, f"nothing was {harm}")
            if harm == "family_rolled_back":
                continue
            equal((seen, named), (tried - hidden.count(harm),) * 2, f"{harm}: found and named")
            check(hidden.count(harm) * 3 < tried, f"{harm}: {tried}, of which hidden: {hidden}")
        lacking = {"records", "tokens", "fingerprints", "keys", "idempotency", "leases",
                   "expiries", "meta", "jobs", "audit_entries", "audit_checkpoints",
                   "audit_state"} - families
        equal(lacking, set(), "families of which no row was touched")


def a_store_that_is_older_as_a_whole_is_found_by_what_the_signer_remembers(system):
    system.verified("vault")
    system.stop("vault")
    now, older = system.path("data/vault"), system.path("data/older")
    shutil.copytree(now, older)
    system.start("vault")
    system.token(VISA, exp_year=2036)
    system.verified("vault")
    system.stop("vault")
    os.rename(now, system.path("data/now"))
    os.rename(older, now)
    done = _check(system, *_verifier(system))
    equal(done.returncode, 1, done.stdout)
    check("this store is an older copy or was cut short" in done.stdout, done.stdout)
    # Without that memory nothing tells it from one that was always so; it says that it did not ask.
    state = system.path("data/vault-signer.state")
    os.rename(state, state + ".away")
    done = _check(system, *_verifier(system))
    equal(done.returncode, 0, done.stdout)
    check("the signer's state cannot be read (not found)" in done.stdout, done.stdout)
    os.rename(state + ".away", state)
    shutil.rmtree(now)
    os.rename(system.path("data/now"), now)
    system.start("vault")


def a_record_s_number_given_again_opens_no_other_card(system):
    """Who deletes the newest record has its number given again.  The token it had is whole."""
    store = system.path("data/vault")
    old = system.token(VISA, exp_year=2037)["token"]
    system.stop("vault")
    rows = store_files.raw_rows(system.build, store, "records")
    newest = max(rows)
    store_files.raw_delete(system.build, store, "records", newest)
    system.start("vault")
    new = system.token(AMEX, exp_year=2037)["token"]
    equal(max(store_files.raw_rows(system.build, store, "records")), newest, "the number, again")
    equal(pay(system, new).status, 200, "the one that it is now")
    for answer in (pay(system, old), system.vault().get(f"/v1/tokens/{old}")):
        check(answer.status in (500, 502, 503), f"and nothing of it by the other: {answer!r}")
        check(b"0005" not in answer.body, f"{answer!r}")
    system.stop("vault")
    store_files.raw_delete(system.build, store, "records", newest)
    store_files.raw_put(system.build, store, "records", newest, rows[newest])
    system.start("vault")
    equal(pay(system, old).status, 200, "its own record opens again")


def what_cannot_be_looked_at_is_said_in_a_sentence(system):
    done = _check(system, config=system.path("nothing.yaml"))
    equal(done.returncode, 2, done.stdout)
    check("nothing.yaml" in done.stderr, done.stderr)
    done = _check(system, "--verifier", system.path("seal.key"))
    equal(done.returncode, 2, done.stdout)
    check("holds no verifier key" in done.stderr, done.stderr)
    done = _check(system, "--verifier", system.path("keys/relay-signer.pub"))
    equal(done.returncode, 1, f"another's key: {done.stdout}")
    wait_until(lambda: system.is_ready("vault"), "the vault is as it was")
