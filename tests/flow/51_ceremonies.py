# SPDX-License-Identifier: Apache-2.0
"""The root key in the hands of five custodians: how they get it, and open the vault with any three
of their shares; every mistake has a sentence, and every attempt is on record."""
import itertools
import os
import pty
import select
import subprocess

import faults
from ceremonies import (FIVE, SIXTH, entries, forged, is_open, killed, post, prepared, restart,
                        root_of, start_sealed, state)
from harness import VISA, check, equal, problem, wait_until
from rounds import rounds
from scan import Watch, may_look

SOAK = True
STORE = "open,write,sync,grow,rename,mkdir EIO data/vault/"
here = {}  # What one test leaves for the next: custodians, tokens.


def prepare(system):
    here["custodians"] = prepared(system)
    here["failing"] = faults.install(system)["vault"]


# ---- Before there is a seal ----

def a_new_vault_says_that_it_has_no_seal(system):
    found = state(system)
    equal((found["state"], found["configured"]), ("uninitialised", "shares"), "the state")
    check("cardkeep init" in found["why"], f"what to do: {found['why']}")
    problem(system.vault().post("/v1/tokens", {"number": VISA, "exp_month": 12,
                                               "exp_year": 2031}), 503, "sealed")
    equal(system.cardkeep("status").returncode, 5, "the command's exit code")
    done = here["custodians"].give("custodian-1", "ckshare1 qqqq")
    check("'cardkeep init'" in done.stderr, done.stderr)


def a_ceremony_is_begun_by_whom_and_for_whom_the_policies_say(system):
    good = {"threshold": 3, "custodians": FIVE}
    for who in ("shop", "operator", "custodian-1"):
        for tail in ("init", "rekey", "cancel"):
            problem(post(system, who, tail, good), 403, "denied")
    for who in ("shop", "security"):
        for tail in ("accept", "collect", "confirm", "unseal"):
            problem(post(system, who, tail, {}), 403, "denied")
    for change, field in (({"threshold": 1}, "/threshold"), ({"threshold": 6}, "/threshold"),
                          ({"threshold": 17}, "/threshold"), ({"custodians": []}, "/custodians"),
                          ({"custodians": FIVE[:1]}, "/custodians"),
                          ({"custodians": FIVE * 4}, "/custodians"),
                          ({"custodians": FIVE + FIVE[:1]}, "/custodians/5"),
                          ({"custodians": FIVE[:2] + ["nobody"]}, "/custodians/2"),
                          ({"custodians": FIVE[:2] + ["shop"]}, "/custodians/2"),
                          ({"custodians": FIVE[:2] + [7]}, "/custodians/2"),
                          ({"custodians": "custodian-1"}, "/custodians"),
                          ({"within_seconds": 0}, "/within_seconds"),
                          ({"within_seconds": 86401}, "/within_seconds")):
        problem(post(system, "security", "init", {**good, **change}), 422, "invalid_field", field)
    problem(post(system, "security", "init", {"threshold": 3}), 422, "missing_field",
            "/custodians")
    problem(post(system, "security", "rekey", good), 503, "sealed")
    equal(state(system)["state"], "uninitialised", "the state")


def no_share_exists_before_every_custodian_has_accepted(system):
    custodians = here["custodians"]
    answer = post(system, "security", "init", {"threshold": 2, "custodians": FIVE[:3],
                                                "within_seconds": 600, "reason": "a drill"})
    equal(answer.status, 200, f"{answer!r}")
    ceremony = answer.json["ceremony"]["id"]
    wait_until(lambda: "is under way" in system.cardkeep("status").stdout, "the status says so")
    done = system.cardkeep("seal", "cancel", "cer_" + "0" * 22)
    check("cardkeep seal show" in done.stderr, done.stderr)
    problem(post(system, "security", "init", {"threshold": 2, "custodians": FIVE}), 409,
            "state_conflict")
    for who in FIVE[:2]:
        problem(post(system, who, "collect", {"ceremony": ceremony}), 409, "state_conflict")
        custodians.accept(who)
        problem(post(system, who, "collect", {"ceremony": ceremony}), 409, "state_conflict")
    accepted = entries(system, "seal.accept")
    equal([entry["actor"] for entry in accepted if entry["outcome"] == "ok"], FIVE[:2], "who did")
    equal(len({entry["certificate"] for entry in accepted}), 2, "certificates")
    equal(entries(system, "seal.collect")[-1]["outcome"], "state_conflict", "an attempt")
    here["drill"] = ceremony


def two_custodians_are_two_people(system):
    """Nobody stands in for another, by name, certificate or key."""
    custodians, ceremony = here["custodians"], here["drill"]
    keys = {one["name"]: one.get("public_key") for one in state(system)["ceremony"]["custodians"]}

    def accept(who, key):
        return post(system, who, "accept", {"ceremony": ceremony, "public_key": key,
                                             "duty": "accepted"})
    found = problem(accept("custodian-3", keys["custodian-1"]), 409, "state_conflict")
    check("make your own" in found["detail"], f"{found}")
    found = problem(accept("custodian-1", keys["custodian-1"]), 409, "state_conflict")
    check("accepted already" in found["detail"], f"{found}")
    problem(accept(SIXTH, keys["custodian-1"]), 403, "denied")
    problem(accept("custodian-3", keys["custodian-1"][:-1] + "b"), 422, "invalid_field",
            "/public_key")
    problem(post(system, "custodian-3", "accept", {"ceremony": ceremony,
                                                    "public_key": keys["custodian-1"]}),
            422, "missing_field", "/duty")
    problem(post(system, "custodian-3", "accept", {"ceremony": "cer_" + "0" * 22,
                                                    "public_key": keys["custodian-1"],
                                                    "duty": "accepted"}), 404, "not_found")
    done = custodians.run("custodian-3", "custodian", "accept", "--key",
                          custodians.key("custodian-3"), text="perhaps\n")
    equal((done.returncode, "I accept" in done.stderr), (2, True), f"{done.stderr}")
    custodians.accept("custodian-3")
    done = custodians.run("custodian-1-new", "custodian", "collect", "--confirm", "--key",
                          custodians.key("custodian-1"))
    check("with another certificate" in done.stderr, done.stderr)


def a_share_is_given_once_and_read_back(system):
    custodians, ceremony = here["custodians"], here["drill"]
    done = custodians.run("custodian-1", "custodian", "collect", "--confirm", "--key",
                          custodians.key(SIXTH))
    check("the file that you accepted with" in done.stderr, f"before it is fetched: {done.stderr}")
    done = custodians.run("custodian-1", "custodian", "collect", "--confirm", "--key",
                          custodians.key("custodian-2"))
    check("the file that you accepted with" in done.stderr, f"nor another's: {done.stderr}")
    problem(post(system, "custodian-1", "confirm", {"ceremony": ceremony, "digest": "0" * 64}),
            409, "state_conflict")
    done = custodians.run("custodian-1", "custodian", "collect", "--key",
                          custodians.key("custodian-1"), text="ckshare1 qqqq\n")
    share = done.stdout.split("\n\n")[1].strip()
    equal((done.returncode, "Behind ckshare1" in done.stderr, "custodian confirm" in done.stderr),
          (2, True, True), f"{done.stderr}")
    problem(post(system, "custodian-1", "collect", {"ceremony": ceremony}), 409, "state_conflict")
    problem(post(system, "custodian-1", "confirm", {"ceremony": ceremony, "digest": "0" * 64}),
            422, "invalid_field", "/digest")
    problem(post(system, "custodian-1", "confirm", {"ceremony": ceremony, "digest": "x"}),
            422, "invalid_field", "/digest")
    done = custodians.run("custodian-1", "custodian", "confirm", text=share + "\n")
    equal(done.returncode, 0, done.stderr)
    problem(post(system, "custodian-1", "confirm", {"ceremony": ceremony, "digest": "0" * 64}),
            409, "state_conflict")
    keys = {one["name"]: one["public_key"] for one in state(system)["ceremony"]["custodians"]
            if "public_key" in one}
    problem(post(system, "custodian-3", "collect", {"ceremony": ceremony,
                                                     "public_key": keys["custodian-1"]}),
            422, "invalid_field", "/public_key")
    answer = post(system, "custodian-3", "collect", {"ceremony": ceremony,
                                                      "public_key": keys["custodian-3"]})
    equal((answer.status, answer.json["share"]["index"], answer.json["done"]), (200, 3, False),
          f"{answer!r}")
    equal(state(system)["state"], "uninitialised", "two have not proven theirs")
    here["old share"] = share


def who_ends_a_ceremony_is_on_record(system):
    ceremony = here["drill"]
    done = system.cardkeep("seal", "cancel", "--reason", "the drill is over", ceremony)
    equal(done.returncode, 0, done.stderr)
    entry = entries(system, "seal.cancel")[-1]
    equal((entry["actor"], entry["object"], entry["detail"]),
          ("security", ceremony, "the drill is over"), "the entry")
    check(entry["certificate"], "its certificate")
    found = problem(post(system, "security", "cancel", {"ceremony": ceremony}), 409,
                    "state_conflict")
    check("security cancelled it" in found["detail"], f"{found}")
    check("ceremony" not in state(system), "it is gone")
    check("cardkeep init" in state(system)["why"], "one can be begun again")


def who_comes_too_late_hears_so(system):
    custodians = here["custodians"]
    ceremony = custodians.init(3, "--within-seconds", "1")
    wait_until(lambda: "ceremony" not in state(system), "its end")
    done = custodians.run("custodian-1", "custodian", "accept", "--yes", "--ceremony", ceremony,
                          "--key", custodians.key("custodian-1"))
    check("it ended at its deadline" in done.stderr, done.stderr)
    equal(entries(system, "seal.expire")[-1]["object"], ceremony, "the entry")


def killed_at_any_step_of_init_a_vault_is_as_new(system):
    custodians = here["custodians"]
    steps = [lambda: None, lambda: custodians.accept("custodian-1"),
             lambda: [custodians.accept(who) for who in FIVE[1:]],
             lambda: custodians.collect("custodian-1"),
             lambda: [custodians.collect(who) for who in FIVE[1:4]]]
    for turn in rounds(len(steps)):
        count = turn % len(steps) + 1
        custodians.init()
        for step in steps[:count]:
            step()
        found = killed(system)
        equal((found["state"], "ceremony" in found), ("uninitialised", False), f"step {count}")


# ---- Three of five ----

def five_custodians_make_a_seal_at_the_command_line(system):
    custodians = here["custodians"]
    custodians.init()
    custodians.ceremony()
    found = wait_until(lambda: state(system)["state"] == "sealed" and state(system), "its seal")
    equal((found["kind"], found["threshold"], found["custodians"]), ("shares", 3, FIVE), "the seal")
    check(entries(system, "seal.init")[-1]["detail"].startswith(f"shares, set {found['set']}, "),
          "the entry")
    problem(system.vault().get("/v1/tokens/tok_test_x"), 503, "sealed")
    problem(post(system, "security", "init", {"threshold": 3, "custodians": FIVE}), 409,
            "state_conflict")
    equal(system.cardkeep("status").returncode, 5, "sealed still")


def any_two_shares_open_nothing(system):
    custodians = here["custodians"]
    pairs = itertools.cycle(itertools.combinations(FIVE, 2))
    for _, pair in zip(rounds(2), pairs):
        for who in pair:
            equal(custodians.give(who).returncode, 0, who)
        found = state(system)
        equal((found["state"], found["unsealing"]["given"], found["unsealing"]["by"]),
              ("sealed", 2, list(pair)), "two of them")
        check(found["unsealing"]["until"] and "2 of 3" in found["why"], f"{found}")
        problem(system.vault().get("/v1/tokens/tok_test_x"), 503, "sealed")
        found = killed(system)
        equal(found["unsealing"]["given"], 0, "forgotten with the process")


def each_mistake_of_a_custodian_has_one_sentence(system):
    custodians = here["custodians"]
    share = custodians.shares["custodian-1"]
    at = len("ckshare1 ") + 5 * 6 + 1  # In the seventh group.
    typo = share[:at] + ("q" if share[at] != "q" else "p") + share[at + 1:]
    equal(custodians.give("custodian-2").returncode, 0, "a right one")
    size = system.audit_size()
    for who, text, said in (
            ("custodian-1", typo, "A character of group 7 is wrong"),
            ("custodian-1", share[:-3], "Behind ckshare1 there are 72 characters"),
            ("custodian-1", share.replace("ckshare1", "ckshare"), "does not begin with ckshare1"),
            ("custodian-1", here["old share"], "of another set"),
            ("custodian-1", custodians.shares["custodian-3"], "another custodian's share"),
            ("custodian-1", forged(share), "not the share that you were given"),
            ("custodian-2", custodians.shares["custodian-2"], "Your share is in already"),
            (SIXTH, share, "no custodian of this vault's seal"),
            ("custodian-1-late", share, "ran out at")):
        done = custodians.give(who, text)
        check(done.returncode in (1, 4) and said in done.stderr, f"{said}: {done.stderr}")
        equal(done.stderr.count("\n"), 1, "one line")
        check("ckshare1 q" not in done.stderr, "nothing of what was typed")
    attempts = [entry for entry in system.audit(start=size)
                if entry["event"] in ("seal.unseal", "policy.deny", "auth.fail")]
    equal([entry["outcome"] for entry in attempts],
          ["invalid_field"] * 6 + ["state_conflict", "denied", "unknown_principal"],
          "each attempt is on record")
    check(all(entry["certificate"] for entry in attempts[:-1]), "with its certificate")
    equal(state(system)["unsealing"]["given"], 1, "what was right stays")
    problem(post(system, "custodian-1", "unseal", {"share": 7}), 422, "invalid_field", "/share")
    problem(post(system, "custodian-1", "unseal", {}), 422, "missing_field", "/share")


def a_custodian_s_share_counts_once(system):
    custodians = here["custodians"]
    answer = post(system, "custodian-3", "unseal", {"share": custodians.shares["custodian-3"]})
    equal((answer.status, answer.json["given"]), (200, 2), f"{answer!r}")
    problem(post(system, "custodian-3", "unseal", {"share": custodians.shares["custodian-3"]}),
            409, "state_conflict")


def any_three_shares_open_the_vault(system):
    custodians = here["custodians"]
    restart(system)
    for who, said in (("custodian-5", "sealed"), ("custodian-2", "sealed"),
                      ("custodian-4", "opening")):
        answer = post(system, who, "unseal", {"share": custodians.shares[who]})
        equal((answer.status, answer.json["state"]), (200, said), f"{answer!r}")
    wait_until(lambda: is_open(system), "the vault is open")
    here["token"] = system.token()["token"]
    for three in (FIVE[:3], FIVE[2:], FIVE[::2]):
        done = system.cardkeep("seal", "--reason", "a drill")
        equal(done.returncode, 0, done.stderr)
        custodians.unseal(*three)
        equal(system.vault().get(f"/v1/tokens/{here['token']}").status, 200, "its card")
    found = problem(post(system, "custodian-1", "unseal", {"share": "x"}), 409, "state_conflict")
    check("is open" in found["detail"], f"{found}")


def after_a_restart_a_new_certificate_of_the_same_custodian_will_do(system):
    custodians = here["custodians"]
    equal(restart(system)["state"], "sealed", "the state")
    done = custodians.run("custodian-1-new", "unseal", text=custodians.shares["custodian-1"] + "\n")
    equal((done.returncode, done.stdout),
          (0, "1 of 3 shares are in; the vault is still sealed\n"), done.stderr)
    custodians.unseal("custodian-2", "custodian-3")
    equal(system.vault().get(f"/v1/tokens/{here['token']}").status, 200, "its card")


def sealed_no_process_has_the_root_any_more(system):
    if not may_look():
        return  # Then nobody may look, and 55_memory holds that.
    custodians = here["custodians"]
    root = root_of([custodians.shares[who] for who in FIVE[1:4]])
    watch = Watch(system)
    # Without zeros in front, of which memory is full.
    watch.needles[root.lstrip(b"\0")] = ("the root", "bytes")
    for who in FIVE:
        value = root_of([custodians.shares[who]])
        watch.needles[value.lstrip(b"\0")] = (f"the share of {who}", "bytes")
    check(any("the root" in line for line in watch.search()), "open, it is there to be found")
    equal(system.cardkeep("seal").returncode, 0, "sealing")
    wait_until(lambda: not watch.search(), "neither the root nor a share is left")
    equal(custodians.give("custodian-1").returncode, 0, "one share")
    wait_until(lambda: [line for line in watch.search() if "custodian-1" in line],
               "that share, to be found")
    custodians.unseal("custodian-2", "custodian-3")
    wait_until(lambda: not [line for line in watch.search() if "share of" in line],
               "no share is left behind the root")


def shares_that_come_too_slowly_are_forgotten(system):
    custodians = here["custodians"]
    system.stop("vault")
    system.edit("vault.yaml", "{kind: shares}", "{kind: shares, unseal_within: 1s}")
    start_sealed(system)
    equal(custodians.give("custodian-1").returncode, 0, "one share")
    wait_until(lambda: state(system)["unsealing"]["given"] == 0, "it is forgotten")
    check("too slowly" in state(system)["why"], f"{state(system)}")
    equal(entries(system, "seal.forget")[-1]["detail"], "1 shares are forgotten", "the entry")
    system.stop("vault")
    system.edit("vault.yaml", ", unseal_within: 1s", "")
    start_sealed(system)
    custodians.unseal(*FIVE[:3])


def _shown(terminal):
    """What a terminal shows next; b"" at its end."""
    check(select.select([terminal], [], [], 60)[0], "something is shown within a minute")
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # Its other end is closed.


def a_share_that_is_typed_is_not_shown(system):
    """On a terminal: a prompt, and no echo."""
    custodians = here["custodians"]
    share = custodians.shares["custodian-1"]
    equal(system.cardkeep("seal").returncode, 0, "sealing")
    ours, theirs = pty.openpty()
    command = [os.path.join(system.build, "cardkeep"), "unseal", "--as", "custodian-1",
               "--config", system.path("cli.yaml")]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"not shown" not in seen:
            seen += _shown(ours)
        os.write(ours, share.encode() + b"\n")
        while more := _shown(ours):
            seen += more
        equal(process.wait(60), 0, f"{seen}")
    os.close(ours)
    check(b"1 of 3 shares are in" in seen, f"{seen}")
    check(share[20:30].encode() not in seen, f"{seen}")
    custodians.unseal("custodian-2", "custodian-3")


def a_last_share_that_is_not_on_record_opens_nothing(system):
    custodians = here["custodians"]
    restart(system)
    for who in FIVE[:2]:
        equal(custodians.give(who).returncode, 0, who)
    before = len(entries(system, "seal.open"))
    with here["failing"].on(STORE):
        problem(post(system, FIVE[2], "unseal", {"share": custodians.shares[FIVE[2]]}), 503,
                "store_unavailable")
    # The store is back, and the shares have to be given again.
    wait_until(lambda: custodians.give(FIVE[0]).returncode == 0, "entries are taken again", 40)
    found = state(system)
    equal((found["state"], found["unsealing"]["given"]), ("sealed", 1), f"{found}")
    equal(len(entries(system, "seal.open")), before, "it was not opened")
    custodians.unseal(*FIVE[1:3])
