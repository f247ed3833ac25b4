# SPDX-License-Identifier: Apache-2.0
"""The record is whole and can be proved so; what was changed, cut or rolled back shows."""
import os
import shutil
import signal

from harness import check, equal, pay, problem

DAEMONS = ("vault", "relay")


def _work(system, count=5):
    for _ in range(count):
        made = system.token(cvv="123")
        pay(system, made["token"], made["cvv"]["token"])


def the_logs_of_running_daemons_are_proved_whole(system):
    _work(system)
    for daemon in DAEMONS:
        found = system.verified(daemon)
        check(found["good"] and found["checkpoints"] >= 1, str(found))
        equal(found["trouble"], "", "trouble")


def the_stores_of_running_daemons_are_proved_whole(system):
    for daemon in DAEMONS:
        done = system.verify_store(daemon)
        equal(done.returncode, 0, f"{daemon}: {done.stderr}")
        check("is whole" in done.stdout, done.stdout)


def the_newest_entries_are_shown_without_cards(system):
    made = system.token()
    for options in ([], ["--store", system.path("data/vault")]):
        done = system.cardkeep("audit", "tail", "--count", "50", *options, config=not options)
        equal(done.returncode, 0, done.stderr)
        check(made["token"] in done.stdout, f"the token's entry:\n{done.stdout}")
        check("card.tokenize" in done.stdout, "what happened")


def reading_the_log_is_in_the_log(system):
    for daemon in DAEMONS:
        start = system.audit_size(daemon)
        system.audit(daemon, start)
        events = [(one["event"], one["actor"]) for one in system.audit(daemon, start)]
        check(("audit.read", "auditor") in events, f"{daemon}: {events}")


def a_page_that_cannot_be_is_refused(system):
    for caller in (system.vault("auditor"), system.relay("auditor")):
        for query in ("limit=0", "limit=257", "start=x", "begin=1", "start=1&start=2"):
            problem(caller.get(f"/v1/audit/entries?{query}"), 422, "invalid_field")
        page = caller.get("/v1/audit/entries?start=999999999").json
        equal(page["entries"], [], "beyond the end")


def entries_say_who_when_what_and_by_which_rule(system):
    made = system.token()
    entry = [one for one in system.audit() if one.get("object") == made["token"]][0]
    for name in ("seq", "ts", "actor", "origin", "event", "outcome", "object", "tenant",
                 "policy", "request_id", "salt"):
        check(name in entry, f"{name} in {entry}")
    equal((entry["policy"]["decision"], entry["policy"]["rule"]), ("allow", "shop-tokenizes"),
          "the decision")
    check(entry["policy"]["bundle"].startswith("sha256:"), "the policies' hash")


def _stop_all(system):
    for name in list(system.running):
        system.stop(name)


def _flip(folder, text):
    """One bit of the text wherever a file of the store has it; how many there were."""
    count = 0
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            data = bytearray(file.read())
        at = data.find(text)
        while at >= 0:
            data[at + len(text) // 2] ^= 1
            count += 1
            at = data.find(text, at + 1)
        with open(path, "wb") as file:
            file.write(data)
    return count


def a_flipped_byte_of_the_store_is_found(system):
    _work(system, 2)
    for daemon in DAEMONS:
        system.verified(daemon)
    _stop_all(system)
    for daemon in DAEMONS:
        folder, kept = system.path("data", daemon), system.path("data", f"{daemon}.kept")
        shutil.copytree(folder, kept)
        check(_flip(folder, b'"actor":"shop"') > 0, f"{daemon}: the entries are in its files")
        done = system.verify_store(daemon)
        check(done.returncode in (1, 3), f"{daemon}: {done.returncode} {done.stdout}")
        check(done.stderr, "it says what is wrong")
        shutil.rmtree(folder)
        os.rename(kept, folder)
        equal(system.verify_store(daemon).returncode, 0, "put back, it is whole")
    system.start()


def a_log_proved_with_another_s_key_is_not_whole(system):
    done = system.cardkeep("audit", "verify", "--store", system.path("data/vault"), "--verifier",
                           system.path("keys/relay-signer.pub"), config=False)
    equal(done.returncode, 1, done.stdout)


def _refuses_to_start(system, name):
    system.spawn(name)
    process = system.running.pop(name)
    try:
        code = process.wait(20)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
    equal(code, 2, f"the {name}'s exit code; it said:\n{system.log(name)[-1500:]}")
    return system.log(name)


def a_store_from_yesterday_is_refused(system):
    _stop_all(system)
    for daemon in DAEMONS:
        shutil.copytree(system.path("data", daemon), system.path("data", f"{daemon}.old"))
    system.start()
    _work(system)
    for daemon in DAEMONS:
        system.verified(daemon)
    _stop_all(system)
    for daemon in DAEMONS:
        os.rename(system.path("data", daemon), system.path("data", f"{daemon}.new"))
        os.rename(system.path("data", f"{daemon}.old"), system.path("data", daemon))
        said = _refuses_to_start(system, daemon)
        check("older" in said.lower() or "rolled back" in said.lower(), said[-1500:])
        shutil.rmtree(system.path("data", daemon))
        os.rename(system.path("data", f"{daemon}.new"), system.path("data", daemon))
    system.start()
    _work(system, 1)


def a_store_that_was_cut_is_refused(system):
    _work(system, 1)
    for daemon in DAEMONS:
        system.verified(daemon)
    for daemon in DAEMONS:
        # As a crash leaves it: the newest entries are in the write-ahead log.
        system.kill(daemon)
        folder, kept = system.path("data", daemon), system.path("data", f"{daemon}.kept")
        shutil.copytree(folder, kept)
        logs = sorted(name for name in os.listdir(folder) if name.endswith(".log"))
        size = os.path.getsize(os.path.join(folder, logs[-1]))
        check(size > 0, "the write-ahead log holds something")
        os.truncate(os.path.join(folder, logs[-1]), size // 2)
        _refuses_to_start(system, daemon)
        shutil.rmtree(folder)
        os.rename(kept, folder)
        system.start(daemon)
    _work(system, 1)


def a_store_whose_signer_lost_its_memory_is_refused(system):
    _stop_all(system)
    for daemon in DAEMONS:
        state = system.path("data", f"{daemon}-signer.state")
        os.rename(state, state + ".kept")
        said = _refuses_to_start(system, daemon)
        check("remembers only 0" in said, said[-1500:])
        os.rename(state + ".kept", state)
    system.start()
    _work(system, 1)
