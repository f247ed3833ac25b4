# SPDX-License-Identifier: Apache-2.0
"""What the vault promises the relay: one card, one submission, one destination, one outcome."""
import threading

from harness import MASTERCARD, VISA, check, equal, problem, together

SERIAL = threading.Lock()
COUNT = [0]


def _submission():
    with SERIAL:
        COUNT[0] += 1
        return f"sub_lease{COUNT[0]}"


def _want(tokens, cvvs=(), **more):
    return {"submission_id": _submission(), "destination": "sandbox", "purpose": "payment",
            "on_behalf_of": "shop", "tokens": list(tokens), "cvv_tokens": list(cvvs), **more}


def _lease(system, *wants):
    answer = system.vault("relay").post("/v1/leases", {"leases": list(wants)}, shows_cards=True)
    equal(answer.status, 200, f"leasing: {answer!r}")
    equal(len(answer.json["results"]), len(wants), "one result for each, in order")
    return answer.json["results"]


def _settle(system, lease, outcome):
    answer = system.vault("relay").post("/v1/settlements", {"settlements": [
        {"lease_id": lease["lease_id"], "outcome": outcome}]})
    equal(answer.status, 200, f"settling: {answer!r}")
    return answer.json["results"][0]


def _refused(result, code):
    equal(result.get("code"), code, f"the refusal: {result}")
    check("cards" not in result, "a refusal lends nothing")


def a_lease_lends_the_card_as_it_was_stored(system):
    made = system.token(VISA, cardholder_name="A. Exämple", cvv="123")
    lease, = _lease(system, _want([made["token"]], [made["cvv"]["token"]]))
    equal(lease["cards"], [{"token": made["token"], "number": VISA, "exp_month": 12,
                            "exp_year": 2031, "cardholder_name": "A. Exämple"}], "the card")
    equal(lease["cvvs"], [{"token": made["cvv"]["token"], "value": "123"}], "the code")


def a_submission_has_one_lease(system):
    want = _want([system.token()["token"]])
    first, = _lease(system, want)
    check(first["lease_id"].startswith("lse_"), str(first["lease_id"]))
    again, = _lease(system, want)
    _refused(again, "state_conflict")
    both = _lease(system, *[_want([want["tokens"][0]], submission_id="sub_twice")] * 2)
    check("cards" in both[0], "the first of two in one request")
    _refused(both[1], "state_conflict")


def one_bad_lease_does_not_spoil_the_rest(system):
    good, bad = system.token()["token"], "tok_test_0000000000000000000000none"
    results = _lease(system, _want([good]), _want([bad]), _want([good], ["cvv_nothing"]),
                     _want([good]))
    check("cards" in results[0] and "cards" in results[3], str(results))
    _refused(results[1], "not_found")
    _refused(results[2], "not_found")


def of_many_parallel_uses_of_a_single_use_token_one_wins(system):
    token = system.token(single_use=True)["token"]
    results = together(*[lambda: _lease(system, *[_want([token]) for _ in range(10)])
                         for _ in range(10)])
    flat = [one for some in results for one in some]
    equal(len(flat), 100, "results")
    winners = [one for one in flat if "cards" in one]
    equal(len(winners), 1, "leases granted")
    for one in flat:
        if one is not winners[0]:
            _refused(one, "token_consumed")


def a_single_use_token_comes_back_where_nothing_was_sent(system):
    token = system.token(single_use=True)["token"]
    first, = _lease(system, _want([token]))
    _refused(_lease(system, _want([token]))[0], "token_consumed")
    _settle(system, first, "not_sent")
    second, = _lease(system, _want([token]))
    _settle(system, second, "answered")
    _refused(_lease(system, _want([token]))[0], "token_consumed")
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "its masked view stays")


def a_code_goes_out_with_its_own_card_only(system):
    mine, other = system.token(cvv="123"), system.token(MASTERCARD)
    _refused(_lease(system, _want([other["token"]], [mine["cvv"]["token"]]))[0], "state_conflict")
    lease, = _lease(system, _want([other["token"], mine["token"]], [mine["cvv"]["token"]]))
    equal(lease["cvvs"][0]["value"], "123", "with its card among them")


def a_code_is_out_once_and_gone_with_any_answer(system):
    made = system.token(cvv="123")
    pair = ([made["token"]], [made["cvv"]["token"]])
    first, = _lease(system, _want(*pair))
    _refused(_lease(system, _want(*pair))[0], "state_conflict")
    _settle(system, first, "not_sent")
    second, = _lease(system, _want(*pair))
    equal(second["cvvs"][0]["value"], "123", "given back")
    _settle(system, second, "sent_no_answer")
    _refused(_lease(system, _want(*pair))[0], "state_conflict")
    _settle(system, second, "answered")
    _refused(_lease(system, _want(*pair))[0], "cvv_consumed")


def a_settlement_may_be_repeated_and_not_changed(system):
    for outcome in ("answered", "not_sent", "sent_no_answer"):
        lease, = _lease(system, _want([system.token()["token"]]))
        for _ in range(2):
            equal(_settle(system, lease, outcome).get("state"), "settled", outcome)
        other = "not_sent" if outcome != "not_sent" else "answered"
        changed = _settle(system, lease, other)
        equal(changed.get("code"), "state_conflict", f"{outcome}, then {other}")


def a_lease_that_never_was_cannot_be_settled(system):
    for name in ("lse_" + "0" * 22, "lse_zz", "x"):
        equal(_settle(system, {"lease_id": name}, "answered").get("code"), "not_found", name)


def _settle_submission(system, want, outcome):
    answer = system.vault("relay").post("/v1/settlements", {"settlements": [
        {"submission_id": want["submission_id"], "outcome": outcome}]})
    equal(answer.status, 200, f"settling: {answer!r}")
    return answer.json["results"][0]


def a_lease_whose_answer_was_lost_is_settled_by_its_submission(system):
    made = system.token(single_use=True, cvv="123")
    want = _want([made["token"]], [made["cvv"]["token"]])
    first, = _lease(system, want)
    for _ in range(2):
        equal(_settle_submission(system, want, "not_sent"),
              {"lease_id": first["lease_id"], "state": "settled"}, "its settlement")
    again, = _lease(system, _want([made["token"]], [made["cvv"]["token"]]))
    equal(again["cvvs"][0]["value"], "123", "both are given back")
    answer = system.vault("relay").post("/v1/settlements", {"settlements": [
        {"submission_id": "sub_1", "lease_id": "lse_1", "outcome": "answered"}]})
    problem_ = answer.json["results"][0]
    equal((problem_["code"], problem_["field"]), ("invalid_field", "/settlements/0/submission_id"),
          "one name for a lease")


def a_submission_that_was_settled_without_a_lease_gets_none(system):
    start = system.audit_size()
    want = _want([system.token()["token"]])
    for outcome in ("not_sent", "sent_no_answer"):
        equal(_settle_submission(system, want, outcome)["state"], "settled", outcome)
    _refused(_lease(system, want)[0], "state_conflict")
    of_it = [(one["event"], one["outcome"]) for one in system.audit(start=start)
             if one.get("object") == want["submission_id"]]
    equal(of_it, [("card.settle", "not_found"), ("card.lease", "state_conflict")], "in the log")


def a_refusal_among_many_is_recorded_as_itself(system):
    """Not under the rule or the name of the one before it."""
    token = system.token()["token"]
    start = system.audit_size()
    good, bad = _lease(system, _want([token]), _want([token], submission_id="no name"))
    _refused(bad, "invalid_field")
    answer = system.vault("relay").post("/v1/settlements", {"settlements": [
        {"lease_id": good["lease_id"], "outcome": "answered"},
        {"lease_id": "lse_nothing", "outcome": "answered"}]})
    _refused(answer.json["results"][1], "not_found")
    entries = [one for one in system.audit(start=start) if one["event"] in ("card.lease",
                                                                            "card.settle")]
    equal([(one["outcome"], one.get("object"), "rule" in one["policy"]) for one in entries
           if one["outcome"] != "ok"],
          [("invalid_field", None, False), ("not_found", "lse_nothing", False)], "the refusals")


def an_erased_or_expired_token_is_not_lent(system):
    token = system.token()["token"]
    equal(system.vault().delete(f"/v1/tokens/{token}").status, 204, "deleting")
    _refused(_lease(system, _want([token]))[0], "erased")


def what_is_no_lease_is_refused_by_its_field(system):
    relay = system.vault("relay")
    problem(relay.post("/v1/leases", {"leases": []}), 422, "invalid_field", "/leases")
    problem(relay.post("/v1/leases", {}), 422, "missing_field", "/leases")
    answer = relay.post("/v1/leases", {"leases": [_want(["tok"], submission_id="no spaces")]})
    equal(answer.json["results"][0]["field"], "/leases/0/submission_id", f"{answer!r}")


def each_lease_and_its_end_are_in_the_log(system):
    start = system.audit_size()
    made = system.token(cvv="123")
    want = _want([made["token"]], [made["cvv"]["token"]])
    lease, = _lease(system, want)
    _settle(system, lease, "answered")
    of_it = [one for one in system.audit(start=start) if one.get("object") == want["submission_id"]]
    equal([one["event"] for one in of_it], ["card.lease", "card.settle"], "its life")
    equal(of_it[0]["on_behalf_of"], "shop", "for whom")
    equal([item["object"] for item in of_it[0]["items"]],
          [made["token"], made["cvv"]["token"]], "what went out")
    equal((of_it[0]["destination"], of_it[0]["actor"]), ("sandbox", "relay"), "where, and to whom")


def a_relay_that_only_asks_leaves_no_entry(system):
    size = system.audit_size()
    answer = system.vault("relay").post("/v1/settlements", {"settlements": []})
    equal((answer.status, answer.json), (200, {"results": []}), "an empty list")
    asked = [entry["event"] for entry in system.audit(start=size)
             if entry["event"] not in ("audit.read", "audit.heartbeat")]
    equal(asked, [], "entries since")
