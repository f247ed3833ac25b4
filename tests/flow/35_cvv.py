# SPDX-License-Identifier: Apache-2.0
"""A CVV is used once, kept briefly, and lost with its process; the shop hears which it was."""
from harness import (AMEX, DECLINED, VISA, check, equal, outcome, pay, problem, wait_until)


def prepare(system):
    """acme's codes end after a second, and it may pay; leases end soon, for those in doubt."""
    system.edit("policies.yaml", "  acme: {}\n", "  acme: {cvv_lifetime: 1s}\n")
    system.edit("policies.yaml", "    principals: [shop]\n    tenants: [demo]\n    destinations:",
                "    principals: [shop, other]\n    tenants: [demo, acme]\n    destinations:")
    system.edit("vault.yaml", "in_flight: 8192}", "in_flight: 8192, lease: 3s}")


def _used(system, made, status, behaviour=None):
    """Pays with the code, and tries once more with the same."""
    token, cvv = made["token"], made["cvv"]["token"]
    equal(pay(system, token, cvv, behaviour).status, status, "the first use")

    def again():
        # Between the gateway's answer and its settlement the code is still leased.
        answer = pay(system, token, cvv)
        check(answer.status == 410 or answer.json["code"] == "state_conflict", f"{answer!r}")
        return answer if answer.status == 410 else None
    answer = wait_until(again, "the second use is refused for good")
    problem(answer, 410, "cvv_consumed")
    outcome(answer, "not_sent", True, "vault")


def an_approval_destroys_it(system):
    _used(system, system.token(cvv="123"), 200)


def a_decline_destroys_it(system):
    _used(system, system.token(DECLINED, cvv="123"), 402)


def a_refusal_of_the_gateway_s_destroys_it(system):
    _used(system, system.token(cvv="123"), 400, "error_400")


def an_error_of_the_gateway_s_destroys_it(system):
    _used(system, system.token(AMEX, cvv="1234"), 500, "error_500")


def an_answer_that_is_no_http_destroys_it(system):
    _used(system, system.token(cvv="123"), 502, "malformed")


def what_was_not_sent_gives_it_back(system):
    made = system.token(cvv="123")
    system.stop("sandbox")
    try:
        answer = pay(system, made["token"], made["cvv"]["token"])
        problem(answer, 502, "gateway_unreachable")
        outcome(answer, "not_sent", True, "network")
    finally:
        system.start("sandbox")

    def again():
        # Until the relay's settlement is there, it is leased to the first submission.
        answer = pay(system, made["token"], made["cvv"]["token"])
        check(answer.status == 200 or answer.json["code"] == "state_conflict", f"{answer!r}")
        return answer.status == 200
    wait_until(again, "the code can be used")


def sent_without_an_answer_it_is_kept_for_nobody_else_and_then_gone(system):
    made = system.token(cvv="123")
    answer = pay(system, made["token"], made["cvv"]["token"], "close_before")
    problem(answer, 502, "gateway_unreachable")
    outcome(answer, "sent_no_answer", False, "gateway")
    answer = pay(system, made["token"], made["cvv"]["token"])
    problem(answer, 409, "state_conflict")
    outcome(answer, "not_sent", True, "vault")

    def ended():
        answer = pay(system, made["token"], made["cvv"]["token"])
        check(answer.status != 200, "it was used a second time")
        return answer if answer.status == 410 else None
    check(wait_until(ended, "the lease ends").json["code"] in ("cvv_consumed", "cvv_expired"),
          "by its end")


def it_goes_with_its_own_card_only(system):
    one, two = system.token(cvv="123"), system.token(VISA)
    system.forget_received()
    answer = pay(system, two["token"], one["cvv"]["token"])
    problem(answer, 409, "state_conflict")
    outcome(answer, "not_sent", True, "vault")
    equal(system.received(), [], "what was sent")
    equal(pay(system, one["token"], one["cvv"]["token"]).status, 200, "with its own")


def a_code_that_never_was_is_not_found(system):
    made = system.token(cvv="123")
    cvv = made["cvv"]["token"]
    for changed in (cvv[:-1] + ("a" if cvv[-1] != "a" else "b"), "cvv_test_" + "0" * 30,
                    system.token(who="other", cvv="123")["cvv"]["token"]):
        problem(pay(system, made["token"], changed), 404, "not_found")
    equal(pay(system, made["token"], cvv).status, 200, "the right one")


def its_time_ends_it(system):
    made = system.token(who="other", cvv="123")
    later = system.token(who="other")

    def expired():
        answer = pay(system, later["token"], made["cvv"]["token"], who="other")
        # Another card's: a conflict as long as the code is there.
        check(answer.status in (409, 410), f"{answer!r}")
        return answer if answer.status == 410 else None
    problem(wait_until(expired, "a second is over"), 410, "cvv_expired")
    problem(pay(system, made["token"], made["cvv"]["token"], who="other"), 410, "cvv_expired")


def a_restart_of_the_vault_loses_it(system):
    made = system.token(cvv="123")
    system.stop("vault")
    system.start("vault")
    answer = pay(system, made["token"], made["cvv"]["token"])
    problem(answer, 410, "cvv_lost")
    outcome(answer, "not_sent", True, "vault")
    equal(pay(system, made["token"]).status, 200, "the card itself is there")


def a_repeat_of_the_same_request_is_no_second_use(system):
    made = system.token(cvv="123")
    key = {"Idempotency-Key": "cvv-once"}
    first = pay(system, made["token"], made["cvv"]["token"], headers=key)
    again = pay(system, made["token"], made["cvv"]["token"], headers=key)
    equal((first.status, again.status), (200, 200), "both answered")
    equal(again.header("Idempotency-Replayed"), "true", "from the record")


def _lease(system, made, submission, **changes):
    """As the relay asks: the code of the first result, None for a lease."""
    answer = system.vault("relay").post("/v1/leases", {"leases": [{
        "submission_id": submission, "destination": "sandbox", "purpose": "payment",
        "on_behalf_of": "shop", "tokens": [made["token"]],
        "cvv_tokens": [made["cvv"]["token"]], **changes}]}, shows_cards=True)
    equal(answer.status, 200, f"{answer.status}")
    return answer.json["results"][0]


def _settle(system, lease, outcome_):
    answer = system.vault("relay").post("/v1/settlements", {"settlements": [
        {"lease_id": lease["lease_id"], "outcome": outcome_}]})
    equal(answer.status, 200, f"{answer!r}")


def the_vault_itself_gives_a_code_to_one_submission(system):
    made = system.token(cvv="123")
    lease = _lease(system, made, "sub_1")
    equal(lease["cvvs"][0]["value"], "123", "the code")
    equal(_lease(system, made, "sub_2")["code"], "state_conflict", "while it is leased")
    _settle(system, lease, "not_sent")
    lease = _lease(system, made, "sub_3")
    equal(lease["cvvs"][0]["value"], "123", "nothing was sent")
    _settle(system, lease, "answered")
    equal(_lease(system, made, "sub_4")["code"], "cvv_consumed", "it was used")
    once = system.token(single_use=True, cvv="123")
    _settle(system, _lease(system, once, "sub_5"), "answered")
    equal(_lease(system, once, "sub_6")["code"], "token_consumed", "and so was the card's token")


def the_vault_itself_tells_expired_from_lost(system):
    made = system.token(who="other", cvv="123")
    wait_until(lambda: _lease(system, {**system.token(who="other"), "cvv": made["cvv"]}, "sub_7",
                              on_behalf_of="other").get("code") == "cvv_expired", "its end")
    made = system.token(cvv="123")
    system.stop("vault")
    system.start("vault")
    equal(_lease(system, made, "sub_8")["code"], "cvv_lost", "after a restart")
