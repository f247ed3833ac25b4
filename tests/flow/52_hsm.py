# SPDX-License-Identifier: Apache-2.0
"""The root is in an HSM: the vault opens by itself, or says what stands in the way."""
import errno
import json
import os
import subprocess

import faults
from ceremonies import Custodians
from harness import VISA, check, equal, problem, wait_until
from rounds import rounds
from scan import Watch, may_look
from softhsm import KEY, PIN, TOKEN, SoftHsm

SOAK = True
STORE = "open,write,sync,grow,rename,mkdir {} data/vault/"

hsm = []
tokens = []
failing = {}


def _listens(system):
    try:
        return system.vault("security").get("/v1/seal").status == 200
    except OSError:
        return False


def _seal(system):
    answer = system.vault("security").get("/v1/seal")
    equal(answer.status, 200, f"the seal: {answer!r}")
    return answer.json


def _wait_open(system):
    wait_until(lambda: _seal(system)["state"] == "open", f"it is open: {_seal(system)}", 40)


def _wait_sealed(system, *words):
    """Sealed, and all that is asked say why: the state, /readyz, the command line, log, entries."""
    def says():
        why = _seal(system)["why"]
        return why if all(word in why for word in words) else None
    why = wait_until(says, f"it says {words}: {_seal(system)}\n{system.log('vault')[-1500:]}", 40)
    equal(_seal(system)["state"], "sealed", "the state")
    wait_until(lambda: system.metrics("vault", "/readyz").json["why"] == why, "/readyz says why")
    done = system.cardkeep("status")
    check(done.returncode != 0 and why in done.stdout, f"{done}")
    check(why.replace('"', '\\"') in system.log("vault"), f"the log says why: {why}")
    check(any(entry["event"] == "seal.fail" and entry.get("detail") == why
              for entry in system.audit()), f"an entry says why: {why}")
    problem(system.vault().post("/v1/tokens", {"number": VISA, "exp_month": 12,
                                               "exp_year": 2031}), 503, "sealed")
    return why


def _start_sealed(system):
    system.spawn("vault")
    wait_until(lambda: _listens(system), "the vault listens")


def _cards_open(system):
    for token in tokens:
        equal(system.vault().get(f"/v1/tokens/{token}").json["last4"], "4242", token)


def prepare(system):
    """Given its seal here; that the system then starts at all is the first test."""
    hsm.append(SoftHsm(system))
    failing.update(faults.install(system))
    system.edit("vault.yaml", "seal: {kind: file, path: seal.key}",
                f"seal: {{kind: pkcs11, path: seal.key, pkcs11: {hsm[0].settings()}}}")
    _start_sealed(system)
    equal(_seal(system)["state"], "uninitialised", "a new vault")
    problem(system.vault("security").post("/v1/seal/init", {"threshold": 2}), 422, "unknown_field")
    problem(system.vault("shop").post("/v1/seal/init", {}), 403, "denied")
    hsm[0].behave("removed")  # When it is to show that what it wrapped opens again.
    asked = system.vault("security").post("/v1/seal/init", {})
    equal((asked.status, asked.json), (202, {"kind": "pkcs11", "state": "asked"}), "init")
    wait_until(lambda: "CKR_DEVICE_REMOVED" in _seal(system).get("hsm", ""), "it says why")
    equal(_seal(system)["state"], "uninitialised", "it has no seal")
    done = system.cardkeep("init")
    check(done.returncode != 0 and "HSM" in done.stderr, f"{done}")
    hsm[0].behave("")
    done = system.cardkeep("init")
    equal(done.returncode, 0, f"{done}")
    equal(_seal(system)["state"], "open", "it is open when the command is done")
    problem(system.vault("security").post("/v1/seal/init", {}), 409, "state_conflict")
    tokens.append(system.token()["token"])
    system.stop("vault")


def a_restart_opens_it_by_itself(system):
    _wait_open(system)
    equal(_seal(system)["kind"], "pkcs11", "the kind")
    tokens.append(system.token()["token"])
    _cards_open(system)
    entry = [entry for entry in system.audit() if entry["event"] == "seal.init"][0]
    check(f"token {TOKEN}" in entry["detail"] and "CKM_AES_GCM" in entry["detail"], f"{entry}")
    for part in ("keeper", "hsm"):
        wait_until(lambda part=part: system.part("vault", part), f"the {part} is there")
        old = system.kill_part("vault", part)
        wait_until(lambda part=part, old=old: system.part("vault", part) not in (None, old),
                   f"another {part}")
        wait_until(lambda: _listens(system), "the vault listens")
        _wait_open(system)
    _cards_open(system)


def the_module_is_in_no_process_but_its_own(system):
    if not may_look():
        return
    for pid, name in system.family("vault").items():
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            check("hsm.so" not in file.read(), f"{name}: no module, not even between requests")


def without_its_token_it_stays_sealed_and_opens_when_it_is_back(system):
    system.stop("vault")
    hsm[0].remove()
    _start_sealed(system)
    why = _wait_sealed(system, "No token with the label", TOKEN)
    entries = [entry for entry in system.audit() if entry.get("detail") == why]
    equal(len(entries), 1, "however often it is tried, it is said once")
    hsm[0].put_back()
    _wait_open(system)
    _cards_open(system)


def a_token_that_goes_while_it_is_open_changes_nothing(system):
    hsm[0].remove()
    tokens.append(system.token()["token"])
    _cards_open(system)
    hsm[0].put_back()


def a_wrong_pin_is_tried_once_until_its_file_is_another(system):
    system.stop("vault")
    hsm[0].write_pin("not-" + PIN)
    before = hsm[0].logins()
    _start_sealed(system)
    _wait_sealed(system, "CKR_PIN_INCORRECT", "its file")
    wait_until(lambda: system.part("vault", "hsm") is not None, "its process waits for another PIN")
    old = system.kill_part("vault", "front")
    wait_until(lambda: system.part("vault", "front") not in (None, old) and _listens(system),
               "time passes")
    equal(hsm[0].logins() - before, 1, "tries of a wrong PIN")
    hsm[0].write_pin(PIN)
    _wait_open(system)
    equal(hsm[0].logins() - before, 2, "tries in all")


def the_last_try_of_a_pin_is_left_to_a_person(system):
    system.stop("vault")
    before = hsm[0].logins()
    hsm[0].behave("final")
    _start_sealed(system)
    _wait_sealed(system, "would lock")
    equal(hsm[0].logins(), before, "tries")
    hsm[0].behave("")
    hsm[0].write_pin(PIN)
    _wait_open(system)


def a_pin_that_others_can_read_is_not_used(system):
    system.stop("vault")
    os.chmod(hsm[0].pin, 0o640)
    _start_sealed(system)
    _wait_sealed(system, "0600")
    os.chmod(hsm[0].pin, 0o600)
    _wait_open(system)


def a_key_that_was_deleted_is_named_and_found_again(system):
    system.stop("vault")
    kept = hsm[0].delete_key()
    _start_sealed(system)
    _wait_sealed(system, "has no key", KEY)
    hsm[0].restore(kept)
    _wait_open(system)
    _cards_open(system)


def a_key_that_was_outside_once_is_refused(system):
    system.stop("vault")
    path = os.path.join(hsm[0].folder, "aes.bin")
    with open(path, "wb") as file:
        file.write(os.urandom(32))
    hsm[0].util("--import", path, "--aes", "--token", TOKEN, "--label", "brought-in", "--id",
                "c0de", "--pin", PIN)
    system.edit("vault.yaml", f"key: {KEY}", "key: brought-in")
    _start_sealed(system)
    _wait_sealed(system, "brought-in", "never lets out")
    system.stop("vault")
    system.edit("vault.yaml", "key: brought-in", f"key: {KEY}")
    system.start("vault")


def a_module_that_crashes_takes_nothing_with_it(system):
    system.stop("vault")
    hsm[0].behave("crash")
    _start_sealed(system)
    keeper = system.part("vault", "keeper")
    _wait_sealed(system, "ended or hung before it answered")
    equal(system.part("vault", "keeper"), keeper, "the keeper goes on")
    hsm[0].behave("")
    _wait_open(system)
    _cards_open(system)


def a_module_that_hangs_is_ended_and_tried_again(system):
    system.stop("vault")
    system.edit("vault.yaml", f"key: {KEY}", f"key: {KEY}, timeout: 1s")
    hsm[0].behave("hang")
    _start_sealed(system)
    _wait_sealed(system, "ended or hung before it answered")
    hsm[0].behave("")
    _wait_open(system)
    system.stop("vault")
    system.edit("vault.yaml", f"key: {KEY}, timeout: 1s", f"key: {KEY}")
    system.start("vault")
    check('"signal 14"' in system.log("vault"), "the log says how it ended")


def a_module_reaches_its_own_files_and_no_network(system):
    """The module itself tries, while it has the PIN and is about to have the root."""
    own = hsm[0].environment["SOFTHSM2_CONF"]
    others = [system.path(*parts) for parts in (
        ("data", "vault", "CURRENT"), ("keys", "vault-signer.key"), ("keys", "hsm.pin"),
        ("tls", "vault", "vault.key"), ("vault.yaml",), ("policies.yaml",), ("seal.key",))]
    others += ["/etc/passwd", "/proc/self/mem", f"/proc/{system.part('vault', 'keeper')}/maps"]
    equal([path for path in others if not os.path.exists(path)], [], "what is not there")
    system.stop("vault")
    hsm[0].behave(" ".join(["pry", own, *others]))
    system.start("vault")
    with open(hsm[0].environment["ODD_HSM"] + ".out", encoding="ascii") as file:
        found = file.read().split(" ")
    hsm[0].behave("")
    equal(found, [own] + ["."] * len(others) + [str(errno.EACCES)], "what it could open")


def a_module_that_answers_for_its_process_gets_no_further(system):
    for how, said in (("babble", "??[31m"), ("rubbish", "ended or hung before it answered")):
        system.stop("vault")
        hsm[0].behave(how)
        size = len(system.log("vault"))
        _start_sealed(system)
        keeper = system.part("vault", "keeper")
        wait_until(lambda said=said: said in system.log("vault")[size:], how)
        equal(_seal(system)["state"], "sealed", "what comes behind the first answer is none")
        check(all(" " <= letter <= "~" for letter in _seal(system)["why"]), "plain text")
        hsm[0].behave("")
        _wait_open(system)
        equal(system.part("vault", "keeper"), keeper, "the keeper goes on")
        for line in system.log("vault").splitlines():
            json.loads(line)
    _cards_open(system)


def its_pin_is_in_no_file_and_no_other_process(system):
    watch = Watch(system)
    watch.text("the PIN", PIN)
    wait_until(lambda: system.part("vault", "hsm"), "its process waits to be asked")
    found = watch.search()
    equal([one for one in found if hsm[0].pin not in one and "the vault's hsm" not in one], [],
          "places")
    check(any(hsm[0].pin in one for one in found), "in its file the search finds it")
    if may_look():
        check(any("the vault's hsm" in one for one in found), f"and in its own process: {found}")
    shown = system.check_config("vault").stdout
    check("hsm.pin" in shown and PIN not in shown, shown)


def a_pin_in_the_configuration_is_refused_and_not_repeated(system):
    system.edit("vault.yaml", "{file: keys/hsm.pin}", PIN)
    done = system.check_config("vault")
    system.edit("vault.yaml", PIN, "{file: keys/hsm.pin}")
    equal(done.returncode, 2, f"{done}")
    check(PIN not in done.stdout + done.stderr and "vault.yaml:" in done.stderr, done.stderr)


def _migrate(system, kind):
    """Asked for by one, carried out by another; the set is another then."""
    before = _seal(system)["set"]
    done = system.cardkeep("seal", "migrate", "--to", kind, "--json")
    equal(done.returncode, 0, f"{done}")
    request = json.loads(done.stdout)
    equal((request["kind"], request["state"]), ("seal.migrate", "waiting"), "the request")
    problem(system.vault("security").post(f"/v1/approvals/{request['approval']}"), 409,
            "state_conflict")
    equal(_seal(system)["set"], before, "nothing came of that")
    approved = system.vault("security-2").post(f"/v1/approvals/{request['approval']}")
    equal((approved.status, approved.json["result"]["kind"]), (200, kind), f"{approved!r}")
    wait_until(lambda: _seal(system)["set"] != before, f"a new root: {_seal(system)}")
    state = _seal(system)
    equal((state["state"], state["kind"], "pending" in state), ("open", kind, False), "the seal")
    entry = [entry for entry in system.audit() if entry["event"] == "seal.change"][-1]
    check("asked by security, approved by security-2" in entry["detail"] and
          state["set"] in entry["detail"], f"{entry}")


def from_one_kind_to_another_cards_open_all_the_way(system):
    for kind in ("file", "pkcs11", "pkcs11", "file"):
        _migrate(system, kind)
        tokens.append(system.token()["token"])
        _cards_open(system)
        system.stop("vault")
        system.start("vault")
        equal(_seal(system)["kind"], kind, "after a restart")
        _cards_open(system)
    check("seal_kind_differs" in system.log("vault"), "the configuration says another kind")
    problem(system.vault("security").post("/v1/seal/migrate", {"to": "file"}), 409,
            "state_conflict")
    _migrate(system, "pkcs11")


def nobody_migrates_without_the_right_or_to_what_is_not_there(system):
    problem(system.vault("shop").post("/v1/seal/migrate", {"to": "pkcs11"}), 403, "denied")
    problem(system.vault("security").post("/v1/seal/migrate", {"to": "paper"}), 422,
            "invalid_field", "/to")
    problem(system.vault("security").post("/v1/seal/migrate", {}), 422, "missing_field", "/to")


def an_hsm_that_fails_in_the_middle_changes_nothing(system):
    before = _seal(system)
    hsm[0].behave("removed")
    asked = system.vault("security").post("/v1/seal/migrate", {"to": "pkcs11"})
    equal(asked.status, 202, f"{asked!r}")
    path = f"/v1/approvals/{asked.json['approval']}"
    equal(system.vault("security-2").post(path).status, 200, "approved")
    wait_until(lambda: "CKR_DEVICE_REMOVED" in _seal(system).get("hsm", ""),
               f"it says why: {_seal(system)}")
    after = _seal(system)
    equal((after["state"], after["set"], "pending" in after), ("open", before["set"], False),
          "the seal")
    hsm[0].behave("")
    system.stop("vault")
    system.start("vault")
    _cards_open(system)


def a_root_that_comes_once_it_is_sealed_is_dropped_and_on_record(system):
    before = _seal(system)
    hsm[0].behave("hang")
    asked = system.vault("security").post("/v1/seal/migrate", {"to": "pkcs11"})
    equal(asked.status, 202, f"{asked!r}")
    path = f"/v1/approvals/{asked.json['approval']}"
    equal(system.vault("security-2").post(path).status, 200, "approved")
    equal(system.vault("security").post("/v1/seal/seal", {}).status, 200, "sealed by hand")
    wait_until(lambda: _seal(system)["state"] == "sealed", "it is sealed")
    hsm[0].behave("")
    wait_until(lambda: any(entry["event"] == "seal.fail" and
                           "sealed before its new root" in entry.get("detail", "")
                           for entry in system.audit()), "what became of it is on record")
    equal(_seal(system)["set"], before["set"], "the seal in force")
    system.stop("vault")
    system.start("vault")
    _cards_open(system)


def _ask(system, kind):
    answer = system.vault("security").post("/v1/seal/migrate", {"to": kind})
    equal(answer.status, 202, f"{answer!r}")
    return f"/v1/approvals/{answer.json['approval']}"


def an_approval_that_is_not_on_the_disk_was_none(system):
    before = _seal(system)
    path = _ask(system, "pkcs11")
    with failing["vault"].on(STORE.format("EIO")):
        problem(system.vault("security-2").post(path), 503, "store_unavailable")
    wait_until(lambda: _listens(system) and system.is_ready("vault"), "the store is back", 40)
    after = _seal(system)
    equal((after["set"], "pending" in after), (before["set"], False), "the seal")
    waiting = system.vault("security").get("/v1/approvals?state=waiting").json["approvals"]
    check(any(path.endswith(one["approval"]) for one in waiting), f"it waits as before: {waiting}")
    equal(system.vault("security-2").post(path).status, 200, "approved again")
    wait_until(lambda: _seal(system)["set"] != before["set"], "a new root")
    _cards_open(system)


def killed_in_the_middle_it_has_one_seal_and_that_opens(system):
    """SoftHSM is killed, too, and writes its token over in place at each log-in, which is then
    empty now and then; an HSM loses nothing so, and here the token comes back."""
    for count in rounds(2):
        kept = hsm[0].keep()
        path = _ask(system, "file" if count % 4 < 2 else "pkcs11")
        system.vault("security-2").post(path)
        if count % 2 == 1:
            wait_until(lambda: "pending" not in _seal(system), "a little later")
        system.kill("vault")
        hsm[0].restore(kept)
        system.start("vault")
        if _seal(system)["kind"] == "file":
            _migrate(system, "pkcs11")
        _cards_open(system)
    system.verified("vault")


def _ask_shares(system, custodians, by_command):
    if not by_command:
        asked = system.vault("security").post("/v1/seal/migrate", {
            "to": "shares", "threshold": 2, "custodians": custodians.names,
            "within_seconds": 600, "reason": "the HSM is sold"})
        equal(asked.status, 202, f"{asked!r}")
        return asked.json
    done = system.cardkeep("seal", "migrate", "--to", "shares", "--threshold", "2", "--json",
                           *custodians.names)
    equal(done.returncode, 0, f"{done}")
    return json.loads(done.stdout)


def _to_shares(system, custodians, by_command):
    """Two persons, then the ceremony of three custodians."""
    before = _seal(system)["set"]
    request = _ask_shares(system, custodians, by_command)
    equal(request["detail"]["to"], "shares", "what is asked for")
    done = system.cardkeep("approvals", "approve", request["approval"], "--as", "security-2")
    equal(done.returncode, 0, f"{done}")
    equal(_seal(system)["set"], before, "until the ceremony's end nothing has changed")
    custodians.ceremony()
    state = _seal(system)
    equal((state["state"], state["kind"], state["custodians"]),
          ("open", "shares", custodians.names), "the seal")
    check(state["set"] != before, "a new root")


def from_shares_to_the_hsm_and_back_cards_open_and_old_shares_are_dead(system):
    old, new = (Custodians(system, [f"custodian-{i}" for i in three])
                for three in ((1, 2, 3), (3, 4, 5)))
    _to_shares(system, old, True)
    tokens.append(system.token()["token"])
    system.stop("vault")
    _start_sealed(system)
    equal(_seal(system)["state"], "sealed", "no HSM opens it")
    old.unseal("custodian-3", "custodian-1")
    _cards_open(system)
    _migrate(system, "pkcs11")
    tokens.append(system.token()["token"])
    _cards_open(system)
    system.stop("vault")
    system.start("vault")
    equal(_seal(system)["kind"], "pkcs11", "by itself")
    check(old.give("custodian-1").returncode != 0, "its shares are nobody's")
    _to_shares(system, new, False)
    _cards_open(system)
    system.stop("vault")
    _start_sealed(system)
    done = old.give("custodian-3")
    check(done.returncode != 0 and _seal(system)["state"] == "sealed", f"an old share: {done}")
    new.unseal("custodian-4", "custodian-5")
    _cards_open(system)
    problem(system.vault("security").post("/v1/seal/migrate", {
        "to": "shares", "threshold": 2, "custodians": new.names}), 409, "state_conflict")
    problem(system.vault("security").post("/v1/seal/migrate", {"to": "pkcs11", "threshold": 2}),
            422, "unknown_field", "/threshold")
    _migrate(system, "pkcs11")


def _checked(system):
    return subprocess.run([os.path.join(system.build, "cardkeep-vault"), "--config",
                           system.path("vault.yaml"), "--verify-store"], env=hsm[0].environment,
                          capture_output=True, text=True, timeout=60, check=False)


def its_store_is_checked_with_the_hsm_and_not_without(system):
    system.verified("vault")
    done = _checked(system)
    equal(done.returncode, 0, f"{done}")
    check("all of it holds" in done.stdout, done.stdout)
    hsm[0].remove()
    done = _checked(system)
    hsm[0].put_back()
    equal(done.returncode, 2, f"{done}")
    check("No token with the label" in done.stdout, done.stdout)
