# SPDX-License-Identifier: Apache-2.0
"""Another key signs the log: the old one names it, both sign for a while, the old one is wiped; and
who has either key follows, at whatever moment a process died."""
import base64
import json
import os
import signal

from harness import VISA, check, equal, pay, problem, wait_until
from rounds import rounds, seed
import random

SOAK = True
DAEMONS = ("vault", "relay")
OVERLAP_S = 3


def prepare(system):
    for daemon in DAEMONS:
        system.edit(f"{daemon}.yaml", "signer: {", f"signer: {{overlap: {OVERLAP_S}s, ")


def _ask(system, daemon, verb, expected=0):
    done = system.cardkeep("signer", verb, "--json", *(["--relay"] if daemon == "relay" else []))
    equal(done.returncode, expected, f"signer {verb} of the {daemon}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout) if expected == 0 else done.stderr


def _state(system, daemon):
    return _ask(system, daemon, "show")


def _seeds(system, daemon):
    """Names of the seeds' files beside the configured one."""
    return sorted(name for name in os.listdir(system.path("keys"))
                  if name.startswith(f"{daemon}-signer.key"))


def _newest(system, daemon):
    """(names and key ids of the signatures, size) of the newest checkpoint."""
    caller = (system.vault if daemon == "vault" else system.relay)("auditor")
    note = caller.get("/v1/audit/checkpoint").body.decode()
    text, lines = note.rsplit("\n\n", 1)
    ids = [base64.b64decode(line.split(" ")[2])[:4].hex() for line in lines.splitlines()]
    return ids, int(text.split("\n")[1])


def _id(key):
    return key.rsplit("+", 2)[1] if key.count("+") == 2 else key.split("+")[1]


def _events(system, daemon, *names):
    return [one for one in system.audit(daemon) if one["event"] in names]


def _verifies(system, daemon, *keys):
    """Over the daemon and over its store, with these keys in the .pub file."""
    path = system.path("keys", "given.pub")
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(f"{key}\n" for key in keys))
    results = []
    for where in (["--store", system.path("data", daemon)],
                  ["--relay"] if daemon == "relay" else []):
        config = "--store" not in where
        results.append(system.cardkeep("audit", "verify", "--json", *where, "--verifier", path,
                                       config=config))
    return results


def _whole(system, daemon, *keys):
    def good():
        return all(done.returncode == 0 for done in _verifies(system, daemon, *keys))
    wait_until(good, f"the {daemon}'s log is good for {keys}")


def _refused(system, daemon, *keys):
    for done in _verifies(system, daemon, *keys):
        equal(done.returncode, 1, f"{daemon}, {keys}: {done.stdout}")
    return done.stdout


def _alone(system, daemon, key):
    wait_until(lambda: _state(system, daemon)["key"] == key, f"the {daemon}'s next key is alone",
               30)


def the_next_key_is_named_then_both_sign_then_it_signs_alone(system):
    pay(system, system.token(VISA)["token"])
    for daemon in DAEMONS:
        before = _state(system, daemon)
        equal((before["state"], before["next"]), ("alone", None), "before")
        old = before["key"]
        with open(system.path("keys", f"{daemon}-signer.key"), "rb") as file:
            old_seed = file.read().strip()
        asked = _ask(system, daemon, "rotate")
        new = asked["next"]
        check(new != old and asked["key"] == old, f"{asked}")
        named = _events(system, daemon, "signer.rotate")
        equal([(one["object"], one["actor"]) for one in named], [(new, "security")], "the entry")
        check(f"after {old} signed " in named[0]["detail"], "and what the old one signed")
        wait_until(lambda d=daemon: _state(system, d)["state"] == "both", "both sign", 30)
        wait_until(lambda d=daemon, o=old, n=new: _newest(system, d)[0] == [_id(o), _id(n)],
                   "both signatures stand on a checkpoint, the old one's first")
        for keys in ((old,), (new,), (old, new), (new, old)):
            _whole(system, daemon, *keys)
        _alone(system, daemon, new)
        equal(_seeds(system, daemon), [f"{daemon}-signer.key"], "seeds that are left")
        path = system.path("keys", f"{daemon}-signer.key")
        equal(os.stat(path).st_mode & 0o777, 0o600, "its mode")
        with open(path, "rb") as file:
            check(file.read().strip() != old_seed, "it is another")
        retired = wait_until(lambda d=daemon: _events(system, d, "signer.retire"), "its end")
        equal([one["object"] for one in retired], [old], "whose")
        wait_until(lambda d=daemon, n=new: _newest(system, d)[0] == [_id(n)], "one signature")
        for keys in ((old,), (new,), (old, new)):
            _whole(system, daemon, *keys)


def a_key_of_nobody_is_refused_with_or_without_a_rotation(system):
    other = _state(system, "relay")["key"]
    for daemon in DAEMONS:
        own = _state(system, daemon)["key"]
        stranger = own.split("+")[0] + _strange(own)
        said = _refused(system, daemon, stranger)
        check("good signature" in said, said)
    done = _verifies(system, "vault", other)[0]
    equal(done.returncode, 1, "the relay's key for the vault's log")


def _strange(own):
    """Another public key under the same name, with the id that it has."""
    import hashlib  # pylint: disable=import-outside-toplevel
    name = own.split("+")[0]
    typed = b"\x01" + bytes(range(32))
    key_id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4].hex()
    return f"+{key_id}+{base64.b64encode(typed).decode()}"


def one_rotation_at_a_time_by_who_may(system):
    for daemon in DAEMONS:
        caller = (system.vault if daemon == "vault" else system.relay)
        problem(caller("shop").post("/v1/signer/rotate"), 403, "denied")
        problem(caller("shop").get("/v1/signer"), 403, "denied")
        answer = caller("security").post("/v1/signer/rotate")
        equal(answer.status, 201, f"{answer!r}")
        problem(caller("security").post("/v1/signer/rotate"), 409, "state_conflict")
        equal(caller("security").get("/v1/signer").json["next"], answer.json["next"], "the same")
        for state in ("both", "alone"):
            wait_until(lambda state=state, ask=caller("security"): ask.get(
                "/v1/signer").json["state"] == state, f"the {daemon}'s state is {state}", 30)
        _alone(system, daemon, answer.json["next"])


def it_survives_a_kill_at_any_step(system):
    chance = random.Random(seed())
    for index in rounds(3):
        daemon = DAEMONS[index % 2]
        first = _state(system, daemon)["key"]
        new = _ask(system, daemon, "rotate")["next"]
        for _ in range(4):
            state = chance.choice(("now", "both", "now"))
            if state == "both":
                try:
                    wait_until(lambda d=daemon: _state(system, d)["state"] == "both", "both", 2)
                except AssertionError:
                    pass
            part = chance.choice(("signer", "keeper" if daemon == "vault" else "relay", "all"))
            if part == "all":
                system.kill(daemon)
                system.start(daemon)
            else:
                gone = system.kill_part(daemon, part)
                wait_until(lambda d=daemon, p=part, g=gone: system.part(d, p) not in (None, g),
                           f"another {part}")
                system.wait_ready(daemon)
            wait_until(lambda d=daemon: _try_state(system, d), f"the {daemon}'s signer has said")
        _alone(system, daemon, new)
        for key in (first, new):
            _whole(system, daemon, key)
        equal(_seeds(system, daemon), [f"{daemon}-signer.key"], "seeds that are left")


def _try_state(system, daemon):
    done = system.cardkeep("signer", "show", "--json", *(["--relay"] if daemon == "relay" else []))
    return done.returncode == 0


def the_first_key_follows_through_all_that_came_since(system):
    for daemon in DAEMONS:
        with open(system.path("keys", f"{daemon}-signer.pub"), encoding="utf-8") as file:
            first = file.read().strip()

        def said(daemon=daemon, first=first):
            """The last one's end is an entry a moment after its key signs alone."""
            changes = len(_events(system, daemon, "signer.retire"))
            done = _verifies(system, daemon, first)[0]
            return (changes >= 2 and done.returncode == 0 and
                    json.loads(done.stdout)["key_changes"] == changes)
        wait_until(said, "the verifier counts as many as have ended")


def a_key_that_is_due_is_a_line_and_a_metric(system):
    for daemon in DAEMONS:
        name = f"cardkeep_{daemon}_signer_key_left_seconds"

        def left_now(daemon=daemon, name=name):
            text = system.metrics(daemon, "/metrics").body.decode()
            return [int(line.split()[1]) for line in text.splitlines()
                    if line.startswith(name + " ")]
        left = wait_until(left_now, "the metric is there")
        check(364 * 86400 < left[0] <= 365 * 86400, f"{name}: {left}")
        heard = len(system.log(daemon))
        system.edit(f"{daemon}.yaml", "signer: {", "signer: {period: 20d, ")
        system.end(daemon, signal.SIGTERM)
        system.start(daemon)
        wait_until(lambda d=daemon, h=heard: "signer_key_is_due" in system.log(d)[h:], "the line")
        check("signer_key_is_due" not in system.log(daemon)[:heard], "and not before")


def a_store_is_checked_by_its_first_key_through_all_rotations(system):
    system.verified("vault")
    with open(system.path("keys", "vault-signer.pub"), encoding="utf-8") as file:
        first = file.read().strip()
    with open(system.path("keys", "given.pub"), "w", encoding="utf-8") as file:
        file.write(f"{first}\n{_state(system, 'vault')['key']}\n")
    for name in ("vault-signer.pub", "given.pub"):
        done = system.cardkeep("store", "check", "--verifier", system.path("keys", name),
                               system.path("vault.yaml"), config=False)
        equal(done.returncode, 0, f"{name}: {done.stdout}{done.stderr}")
        check(", signed" in done.stdout and "all of it holds" in done.stdout, done.stdout)
