# SPDX-License-Identifier: Apache-2.0
"""Cards go by themselves once their time is over, bytes and all; and who asks for it is told the
truth of every record."""
import datetime
import json
import time

import store_files
from harness import (AMEX, MASTERCARD, VISA, check, equal, pay, problem, together,
                     wait_until)

RECORDS_NUMBER = 2  # Of the family, in RocksDB's logs.
PURGE_S = 1
WAIT_S = 60


def prepare(system):
    system.edit("policies.yaml", "  acme: {}", "  acme: {retention: {cards: 400d}}")
    system.edit("vault.yaml", "in_flight: 8192}", f"in_flight: 8192, purge: {PURGE_S}s}}")


def _store(system):
    return system.path("data", "vault")


def _rows(system, family):
    return store_files.raw_rows(system.build, _store(system), family)


def _in(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _restarted(system, work=lambda: None):
    system.stop("vault")
    work()
    system.start("vault")


def _report(system, code=0):
    done = system.cardkeep("retention", "report", "--json")
    equal(done.returncode, code, f"retention report: {done.stdout}{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["report"], answer["entry"], {one["tenant"]: one
                                               for one in answer["report"]["classes"]}


def _gone(system, keys):
    """Neither rows nor anything in any file."""
    where = store_files.keys_found(keys, "records", RECORDS_NUMBER, _store(system))
    return not keys & set(_rows(system, "records")) and not where


def one_report_at_a_time_says_what_the_log_says(system):
    security = system.vault("security")
    for method in (security.get, security.post):
        equal(method("/v1/retention").status in (200, 202), True, "it may be asked for")
    problem(system.vault().get("/v1/retention"), 403, "denied")
    problem(system.vault().post("/v1/retention"), 403, "denied")
    problem(security.post("/v1/retention", {"tenant": "demo"}), 422, "unknown_field")
    answers = []

    def refused():
        answers[:] = together(*[lambda: system.vault("security").post("/v1/retention")] * 4)
        return [one for one in answers if one.status == 409]
    problem(wait_until(refused, "one of those who ask at a time is told to wait")[0], 409,
            "state_conflict")
    check(all(one.status in (202, 409) for one in answers), f"{answers}")
    done = wait_until(lambda: (lambda one: None if one["running"] else one)(
        security.get("/v1/retention").json), "it ends")
    entry = system.audit(start=done["entry"])[0]
    equal(json.loads(entry["detail"]), done["report"], "the log says the same")


def a_card_whose_time_is_over_goes_with_its_bytes(system):
    kept = system.token(VISA)["token"]
    before = set(_rows(system, "records"))
    token = system.token(AMEX, expires_at=_in(2))["token"]
    made = {key: row for key, row in _rows(system, "records").items() if key not in before}
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "before")
    wait_until(lambda: system.vault().get(f"/v1/tokens/{token}").status == 410, "it is over")
    wait_until(lambda: _gone(system, set(made)), "its record is in no file", WAIT_S)
    salts = {row[12:44] for row in made.values()}
    equal(store_files.markers_found(salts, _store(system)), {}, "nor is its ciphertext")
    problem(system.vault().get(f"/v1/tokens/{token}"), 410, "expired")
    problem(system.vault().delete(f"/v1/tokens/{token}"), 410, "expired")
    entry = [one for one in system.audit() if one["event"] == "card.expire"][-1]
    equal([one["object"] for one in entry["items"]], [token], "the entry names it")
    wait_until(lambda: any(one["event"] == "store.purge" for one in system.audit()),
               "and the purge is there")
    equal(pay(system, kept).status, 200, "another opens")


def a_tenant_that_keeps_cards_for_less_has_none_that_are_older(system):
    tokens = [system.token(number, who="other")["token"] for number in (VISA, AMEX, MASTERCARD)]
    keys = set(_rows(system, "records"))
    demo = system.token(VISA)["token"]
    _restarted(system, lambda: system.edit("policies.yaml", "{retention: {cards: 400d}}",
                                           "{retention: {cards: 1s}}"))
    for token in tokens:
        wait_until(lambda one=token: system.vault("other").get(f"/v1/tokens/{one}").status == 410,
                   "it goes")
        problem(system.vault("other").get(f"/v1/tokens/{token}"), 410, "erased")
    equal(pay(system, demo).status, 200, "another tenant's stays")
    wait_until(lambda: len(keys & set(_rows(system, "records"))) <= len(keys) - len(tokens),
               "their records go")
    review = [one for one in system.audit() if one["event"] == "retention.review"][-1]
    check(review["count"] >= len(tokens), f"their times were put right: {review}")


def a_card_past_its_time_is_refused_whether_a_sweep_came_by_or_not(system):
    system.edit("policies.yaml", "{retention: {cards: 1s}}", "{retention: {cards: 2s}}")
    _restarted(system)
    # Sweeps come once a second; these end all through it.
    made = []
    for _ in range(8):
        made.append(system.token(VISA, who="other"))
        time.sleep(0.13)  # Spreads them; nothing waits for anything.
    client = system.vault("other")
    for one in made:
        created = datetime.datetime.fromisoformat(one["created_at"].replace("Z", "+00:00"))
        end = created.timestamp() + 2

        def refused(one=one, end=end):
            asked = time.time()
            answer = client.get(f"/v1/tokens/{one['token']}")
            check(answer.status == 410 or asked < end, f"shown {asked - end:.3f} s too late")
            return answer if answer.status == 410 else None
        problem(wait_until(refused, "it is over"), 410, "erased")
    system.edit("policies.yaml", "{retention: {cards: 2s}}", "{retention: {cards: 1s}}")


def many_whose_time_is_over_at_once_go_at_once(system):
    before = system.audit_size()
    count, when = 1500, _in(5)
    for _ in range(2):
        cards = [{"number": VISA, "exp_month": 12, "exp_year": 2034, "expires_at": when}] * 750
        answer = system.vault().post("/v1/tokens/batch", {"cards": cards})
        equal(answer.status, 200, repr(answer)[:300])

    def gone():
        entries = [one for one in system.audit(start=before)
                   if one["event"] == "card.expire" and one["count"] > 100]
        return entries if sum(one["count"] for one in entries) >= count else None
    entries = wait_until(gone, "all have gone")
    check(len(entries) >= 5, "in portions")
    first, last = (datetime.datetime.fromisoformat(one["ts"].replace("Z", "+00:00"))
                   for one in (entries[0], entries[-1]))
    took = (last - first).total_seconds()
    check(took < 0.6 * (len(entries) - 1), f"{len(entries)} portions in {took} s")


def a_tenant_that_keeps_cards_for_longer_keeps_them(system):
    system.edit("policies.yaml", "{retention: {cards: 1s}}", "{retention: {cards: 2s}}")
    _restarted(system)
    token = system.token(VISA, who="other")["token"]
    end = time.monotonic() + 2.5

    def later():
        wait_until(lambda: time.monotonic() > end, "its first time is over")
        system.edit("policies.yaml", "{retention: {cards: 2s}}", "{retention: {cards: 400d}}")
    _restarted(system, later)
    equal(system.vault("other").get(f"/v1/tokens/{token}").status, 200, "it stays")
    _report(system)


def the_report_counts_every_record_and_is_in_the_log(system):
    report, entry, classes = _report(system)
    equal(report["beyond_retention"], 0, "none is beyond its time")
    equal(sum(one["records"] for one in classes.values()), len(_rows(system, "records")), "all")
    equal(classes["acme"]["retention_seconds"], 400 * 86400, "acme's word")
    equal(report["cvv_ceiling_seconds"], 3600, "no CVV for longer")
    check(report["last_purge"] is not None, "purged")
    check(classes["demo"]["oldest"] is not None, "the oldest of demo")
    said = system.audit(start=entry)[0]
    equal((said["event"], said["actor"], said["outcome"]), ("retention.report", "security", "ok"),
          "the entry")
    equal(json.loads(said["detail"]), report, "which says the same")
    text = system.cardkeep("retention", "report")
    check("no CVV is kept for more than 3600 s" in text.stdout, text.stdout)
    problem(system.vault("shop").get("/v1/retention"), 403, "denied")
    problem(system.vault("shop").post("/v1/retention"), 403, "denied")
    problem(system.vault("security").post("/v1/retention", {"tenant": "demo"}), 422,
            "unknown_field")


def a_record_that_is_stuck_shows_and_goes_by_hand(system):
    before = set(_rows(system, "expiries"))
    token = system.token(MASTERCARD, expires_at=_in(4))["token"]
    made = [key for key in _rows(system, "expiries") if key not in before and key[0] >= 0x80]
    equal(len(made), 1, "what says when it goes")
    _restarted(system, lambda: store_files.raw_delete(system.build, _store(system), "expiries",
                                                      made[0]))
    wait_until(lambda: system.vault().get(f"/v1/tokens/{token}").status == 410, "it is over")
    wait_until(lambda: system.cardkeep("retention", "report").returncode == 1, "and it shows")
    report, _, classes = _report(system, code=1)
    equal((report["beyond_retention"], classes["demo"]["beyond_retention"]), (1, 1), "one, whose")
    check("records_beyond_retention" in system.log("vault"), "an alarm in the log")
    entry = [one for one in system.audit() if one["event"] == "retention.report"][-1]
    equal(entry["outcome"], "beyond_retention", "and an entry")
    done = system.cardkeep("erase", "token", "--tenant", "demo", token)
    equal(done.returncode, 0, f"erase token: {done.stdout}{done.stderr}")
    check("is entry" in done.stdout and "0 were found" in done.stdout, done.stdout)
    _report(system)


def production_wants_a_word_from_every_tenant(system):
    with open(system.path("vault.yaml"), encoding="utf-8") as file:
        text = file.read()
    with open(system.path("vault.yaml"), "w", encoding="utf-8") as file:
        file.write(text.replace("environment: development", "environment: production")
                   .replace(_line(text, "seal:"), "seal: {kind: shares}"))
    done = system.check_config("vault")
    with open(system.path("vault.yaml"), "w", encoding="utf-8") as file:
        file.write(text)
    equal(done.returncode, 2, f"refused: {done.stdout}{done.stderr}")
    check("tenant demo" in done.stderr and "retention" in done.stderr, done.stderr)


def _line(text, head):
    return next(line for line in text.splitlines() if line.startswith(head))
