# SPDX-License-Identifier: Apache-2.0
"""A card goes out: through the relay to a gateway, and its answer back."""
import base64
import datetime
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.parse

from harness import (AMEX, DECLINED, KEY, ROOT, VISA, cards_in, check, equal, outcome, pay, payment,
                     problem, together, wait_until)


def prepare(system):
    """Profiles of our own: one with little patience, one whose gateway is not who it should be."""
    shutil.copytree(os.path.join(ROOT, "relay/gateways"), system.path("gateways"))
    system.edit("relay.yaml", os.path.join(ROOT, "relay/gateways"), system.path("gateways"))
    with open(system.path("gateways/hasty.yaml"), "w", encoding="utf-8") as file:
        file.write("gateway: hasty\nhosts: [localhost]\ncredentials: caller\n"
                   "idempotency: {header: Idempotency-Key}\n"
                   "slots: {form: {\"payment_method_data[card][number]\": number}}\n"
                   "deadline: {connect: 1s, total: 1s}\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=elsewhere", "-days", "1",
                    "-keyout", system.path("tls/elsewhere.key"), "-out",
                    system.path("tls/elsewhere.pem")], capture_output=True, check=True)
    for name, profile, authority in (("hasty", "hasty", "ca"), ("impostor", "stripe",
                                                               "elsewhere")):
        system.edit("relay.yaml", "destinations:\n", f"""destinations:
  {name}:
    gateway: {profile}
    host: localhost
    port: {system.ports["sandbox"]}
    authorities: tls/{authority}.pem
    allow: ["127.0.0.0/8", "::1/128"]
""")
    system.edit("policies.yaml", "  stripe-sandbox: {}\n",
                "  stripe-sandbox: {}\n  hasty: {}\n  impostor: {}\n")
    system.edit("policies.yaml", "[sandbox, stripe-sandbox]",
                "[sandbox, stripe-sandbox, hasty, impostor]")


def _body(received):
    return base64.b64decode(received["body_base64"])


def _form(received):
    return urllib.parse.parse_qsl(_body(received).decode(), keep_blank_values=True)


def _json_payment(token, cvv=None, **more):
    card = {"number": token, "expiry": token, "name": token}
    if cvv is not None:
        card["security_code"] = cvv
    return {"amount": 1999, "currency": "eur", "card": card, **more}


def a_payment_with_a_token_reaches_the_gateway_with_the_card(system):
    made = system.token(cvv="123")
    system.forget_received()
    answer = pay(system, made["token"], made["cvv"]["token"])
    equal((answer.status, answer.json["status"]), (200, "succeeded"), f"{answer!r}")
    outcome(answer, "answered", False)
    check(re.search(r"policy;dur=[\d.]+, lease;dur=[\d.]+, gateway;dur=[\d.]+, relay;dur=[\d.]+",
                    answer.header("Server-Timing")), "where the time went")
    equal(_form(system.received()[0]), payment(VISA, "123")[:5] +
          [("payment_method_data[card][exp_month]", "12"),
           ("payment_method_data[card][exp_year]", "2031"),
           ("payment_method_data[card][cvc]", "123")], "what the gateway got")


def a_decline_passes_as_the_gateway_says_it(system):
    answer = pay(system, system.token(DECLINED)["token"])
    equal(answer.status, 402, f"{answer!r}")
    equal(answer.json["error"]["type"], "card_error", "the gateway's own error")
    outcome(answer, "answered", False)


def json_bodies_are_filled_as_forms_are(system):
    made = system.token(cvv="123", cardholder_name='A. "Q" Example')
    system.forget_received()
    answer = system.relay().post("/sandbox/v1/json/payments",
                                 _json_payment(made["token"], made["cvv"]["token"]), headers=KEY)
    check(answer.status in (200, 201), f"{answer!r}")
    equal(json.loads(_body(system.received()[0]))["card"],
          {"number": VISA, "expiry": "12/31", "security_code": "123", "name": 'A. "Q" Example'},
          "what the gateway got")


def expressions_give_the_shapes_that_they_name(system):
    token = system.token()["token"]
    number, date = "payment_method_data[card][number]", "payment_method_data[card][exp_year]"
    cases = [(number, "{{ %s }}", VISA), (number, "{{%s.number}}", VISA),
             (number, "{{ %s.number | last4 }}", "4242"),
             (number, "{{ %s.number | bin6 }}", "424242"),
             (number, "{{ %s.number | base64 }}", base64.b64encode(VISA.encode()).decode()),
             (date, "{{ %s.exp | yymm }}", "3112"), (date, "{{ %s.exp | mm/yyyy }}", "12/2031"),
             (date, "{{ %s.exp|yyyy-mm }}", "2031-12"), (date, "{{ %s.exp_month | mm }}", "12"),
             (date, "{{ %s.exp_year | yy }}", "31"), (date, "%s", "2031")]
    for slot, expression, expected in cases:
        system.forget_received()
        answer = system.relay().post("/sandbox/v1/payment_intents", [
            ("amount", "100"), ("currency", "eur"), (slot, expression % token)], headers=KEY)
        outcome(answer, "answered", False)
        equal(dict(_form(system.received()[0]))[slot], expected, expression)


def an_expression_that_is_not_understood_sends_nothing(system):
    token = system.token()["token"]
    system.forget_received()
    for expression in ("{{ %s.colour }}", "{{ %s | rot13 }}", "{{ %s", "{{ }}", "{{ %s %s }}"):
        text = expression.replace("%s", token)
        answer = system.relay().post("/sandbox/v1/payment_intents", [
            ("payment_method_data[card][number]", text)], headers=KEY)
        problem(answer, 400, "invalid_expression")
        outcome(answer, "not_sent", True, "relay")
    equal(system.received(), [], "what was sent")


def tokens_outside_slots_and_cards_inside_send_nothing(system):
    token = system.token()["token"]
    system.forget_received()
    relay = system.relay()
    for answer, code in (
            (relay.post("/sandbox/v1/payment_intents", [("description", token)], headers=KEY),
             "token_outside_slot"),
            (relay.get(f"/sandbox/v1/payment_intents/{token}", headers=KEY),
             "token_outside_slot"),
            (relay.get("/sandbox/v1/x", headers={**KEY, "X-Note": token}), "token_outside_slot"),
            (relay.post("/sandbox/v1/payment_intents",
                        [("payment_method_data[card][number]", VISA)], headers=KEY),
             "card_in_free_text"),
            (relay.post("/sandbox/v1/json/payments", {"card": {"number": VISA}}, headers=KEY),
             "card_in_free_text")):
        problem(answer, 422, code)
        outcome(answer, "not_sent", True, "relay")
    equal(system.received(), [], "what was sent")


def a_slot_that_wants_what_the_card_does_not_have_sends_nothing(system):
    token = system.token()["token"]
    system.forget_received()
    answer = system.relay().post("/sandbox/v1/json/payments", _json_payment(token), headers=KEY)
    problem(answer, 422, "missing_field")
    outcome(answer, "not_sent", True, "relay")
    equal(system.received(), [], "what was sent")


def a_body_that_cannot_be_read_sends_no_card(system):
    token = system.token()["token"]
    system.forget_received()
    relay = system.relay()
    problem(relay.post("/sandbox/v1/json/payments", b'{"card": {"number": "' + token.encode(),
                       headers={**KEY, "Content-Type": "application/json"}), 400, "invalid_json")
    problem(relay.post("/sandbox/v1/x", f"<card>{token}</card>".encode(),
                       headers={**KEY, "Content-Type": "application/xml"}), 415,
            "unsupported_media_type")
    equal(system.received(), [], "what was sent")


def the_stripe_profile_works_by_prefix_and_by_its_own_listener(system):
    token = system.token()["token"]
    for listener, path in (("relay", "/stripe-sandbox/v1/payment_intents"),
                           ("stripe_listen", "/v1/payment_intents")):
        system.forget_received()
        answer = system.relay(listener=listener).post(path, payment(token), headers=KEY)
        equal((answer.status, answer.json["status"]), (200, "succeeded"), listener)
        equal(system.received()[0]["path"], "/v1/payment_intents", "the gateway's own path")
        equal(dict(_form(system.received()[0]))["payment_method_data[card][number]"], VISA,
              "the card")


def other_requests_pass_as_they_are(system):
    made = pay(system, system.token()["token"]).json
    relay = system.relay(listener="sandbox_listen")
    answer = relay.get(f"/v1/payment_intents/{made['id']}?expand%5B%5D=latest_charge",
                       headers=KEY)
    equal((answer.status, answer.json["id"]), (200, made["id"]), f"{answer!r}")
    equal(system.received()[-1]["query"], "expand%5B%5D=latest_charge", "the query, byte for byte")
    refund = relay.post("/v1/refunds", [("payment_intent", made["id"]), ("amount", "999")],
                        headers=KEY)
    equal((refund.status, refund.json["amount"]), (200, 999), f"{refund!r}")


def every_method_passes_but_those_that_mean_nothing_here(system):
    relay = system.relay(listener="sandbox_listen")
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        system.forget_received()
        answer = relay.request(method, "/v1/refunds", headers=KEY)
        outcome(answer, "answered", False)
        equal(system.received()[0]["method"], method, "the method")
    relay = system.relay()
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        outcome(relay.request(method, "/sandbox/v1/refunds", headers=KEY), "answered", False)


def headers_of_ours_and_of_the_network_stay_here(system):
    token = system.token()["token"]
    system.forget_received()
    pay(system, token, headers={"Cardkeep-Purpose": "payment", "X-Forwarded-For": "10.1.2.3",
                                "Forwarded": "for=10.1.2.3", "Cookie": "a=b", "Via": "1.1 shop",
                                "Cardkeep-On-Behalf-Of": "customer 77", "X-Shop": "kept"})
    names = {name.lower(): value for name, value in system.received()[0]["headers"]}
    equal([name for name in names if name.startswith("cardkeep-")], [], "ours")
    for name in ("x-forwarded-for", "forwarded", "cookie", "via"):
        check(name not in names, name)
    equal(names["x-shop"], "kept", "the others")


def a_gateway_that_echoes_the_card_is_scrubbed_everywhere(system):
    for number, cvv in ((VISA, "737"), (AMEX, "7373"), (DECLINED, "737")):
        made = system.token(number, cvv=cvv)
        answer = pay(system, made["token"], made["cvv"]["token"], "echo")
        check(answer.header("Sandbox-Echo"), "the header came back")
        heads = str(answer.headers.items())
        check(made["token"] in heads, "with the token in it")
        echo = answer.json["echo"]
        check(made["token"] in echo["number"], f"the token in the number's place: {echo}")
        equal(cards_in(answer.body), [], "cards in the body")
        for name in ("base64", "base64_within", "base64_json"):
            decoded = base64.b64decode(echo[name] + "===")
            check(number.encode() not in decoded, f"decoded {name}")
        check(cvv not in echo["cvc"], f"the code: {echo['cvc']}")
        check(number not in echo["error"]["message"], "the error's sentence")


def an_error_of_the_gateway_s_passes_with_its_status(system):
    for behaviour, status in (("error_400", 400), ("error_500", 500)):
        answer = pay(system, system.token()["token"], behaviour=behaviour)
        equal(answer.status, status, f"{answer!r}")
        outcome(answer, "answered", False)
        check("error" in answer.json, "the gateway's own body")


def a_redirect_is_not_followed(system):
    system.forget_received()
    answer = pay(system, system.token()["token"], behaviour="redirect")
    equal(answer.status, 302, f"{answer!r}")
    outcome(answer, "answered", False)
    equal(len(system.received()), 1, "one request")


def a_repeat_is_answered_from_the_record_and_sent_once(system):
    token = system.token()["token"]
    key = {"Idempotency-Key": "relay-once"}
    system.forget_received()
    first, again = pay(system, token, headers=key), pay(system, token, headers=key)
    equal((again.status, again.body), (first.status, first.body), "the same answer")
    equal((first.header("Idempotency-Replayed"), again.header("Idempotency-Replayed")),
          (None, "true"), "said so")
    equal(again.header("Cardkeep-Submission"), first.header("Cardkeep-Submission"), "the same")
    equal(len(system.received()), 1, "sent once")
    names = {name.lower(): value for name, value in system.received()[0]["headers"]}
    equal(names["idempotency-key"], "relay-once", "under the gateway's name for it")


def another_request_under_a_used_key_is_a_conflict(system):
    token = system.token()["token"]
    key = {"Idempotency-Key": "relay-conflict"}
    pay(system, token, headers=key)
    system.forget_received()
    answer = pay(system, token, headers=key, description="other")
    problem(answer, 409, "idempotency_conflict")
    outcome(answer, "not_sent", False, "relay")
    equal(system.received(), [], "what was sent")


def a_used_key_gives_one_account_nothing_of_another_s(system):
    token = system.token()["token"]
    key = {"Idempotency-Key": "relay-accounts", "Stripe-Account": "acct_1"}
    first = pay(system, token, headers=key)
    system.forget_received()
    for other in ({"Stripe-Account": "acct_2"}, {"Authorization": "Bearer sk_test_other"},
                  {"Stripe-Context": "acct_3"}):
        answer = pay(system, token, headers={**key, **other})
        problem(answer, 409, "idempotency_conflict")
        outcome(answer, "not_sent", False, "relay")
    again = pay(system, token, headers={**key, "User-Agent": "another"})
    equal((again.body, again.header("Idempotency-Replayed")), (first.body, "true"), "its own")
    equal(system.received(), [], "what was sent")


def ten_at_one_time_under_one_key_are_sent_once(system):
    token = system.token()["token"]
    key = {"Idempotency-Key": "relay-together"}
    system.forget_received()
    answers = together(*[lambda: pay(system, token, headers=key)] * 10)
    good = [one for one in answers if one.status == 200]
    check(good, "one at least is answered")
    for one in answers:
        if one.status != 200:
            problem(one, 409, "state_conflict")
            outcome(one, "sent_no_answer", False, "relay")
    equal(len(system.received()), 1, "sent once")
    again = pay(system, token, headers=key)
    equal(again.body, good[0].body, "and on record")


def no_answer_is_in_doubt_and_stays_so(system):
    for behaviour in ("close_before", "close_half"):
        token = system.token()["token"]
        key = {"Idempotency-Key": f"relay-{behaviour}"}
        system.forget_received()
        answer = pay(system, token, behaviour=behaviour, headers=key)
        check("may have been" in problem(answer, 502, "gateway_unreachable")["detail"], answer.body)
        outcome(answer, "sent_no_answer", False, "gateway")
        again = pay(system, token, behaviour=behaviour, headers=key)
        check("Ask the gateway" in problem(again, 409, "in_doubt")["detail"], again.body)
        equal(again.header("Cardkeep-Submission"), answer.header("Cardkeep-Submission"),
              "which one is in doubt")
        equal(len(system.received()), 1, "sent once")


def a_gateway_that_takes_too_long_is_in_doubt(system):
    token = system.token()["token"]
    answer = system.relay().post("/hasty/v1/payment_intents", payment(token)[:5], headers={
        **KEY, "Sandbox-Behaviour": "slow", "Sandbox-Delay-Ms": "3000"})
    problem(answer, 504, "gateway_timeout")
    outcome(answer, "sent_no_answer", False, "gateway")


def a_gateway_that_cannot_be_trusted_gets_nothing(system):
    token = system.token()["token"]
    system.forget_received()
    answer = system.relay().post("/impostor/v1/payment_intents", payment(token), headers=KEY)
    problem(answer, 502, "gateway_tls")
    outcome(answer, "not_sent", True, "network")
    equal(system.received(), [], "what it got")


def what_is_no_http_is_said_to_be_none(system):
    answer = pay(system, system.token()["token"], behaviour="malformed")
    problem(answer, 502, "gateway_malformed")
    outcome(answer, "answered", False, "gateway")


def a_gateway_that_is_not_there_got_nothing(system):
    token = system.token()["token"]
    system.stop("sandbox")
    try:
        answer = pay(system, token)
        check("Nothing was" in problem(answer, 502, "gateway_unreachable")["detail"], answer.body)
        outcome(answer, "not_sent", True, "network")
        key = {"Idempotency-Key": "relay-not-sent"}
        pay(system, token, headers=key)
    finally:
        system.start("sandbox")
    answer = pay(system, token, headers=key)
    equal((answer.status, answer.header("Idempotency-Replayed")), (200, None),
          "what was not sent may be sent")


def a_vault_that_is_not_there_sends_nothing(system):
    token = system.token()["token"]
    system.forget_received()
    system.stop("vault")
    try:
        answer = pay(system, token)
        problem(answer, 503, "vault_unavailable")
        outcome(answer, "not_sent", True, "vault")
        equal(system.received(), [], "what was sent")
        wait_until(lambda: system.metrics("relay", "/readyz").status == 503, "the relay says so")
    finally:
        system.start("vault")
    equal(pay(system, token).status, 200, "and again with it")


def tokens_that_cannot_be_leased_are_named_by_the_vault_s_code(system):
    erased, once = system.token()["token"], system.token(single_use=True)["token"]
    system.vault().delete(f"/v1/tokens/{erased}")
    foreign = system.token(who="other")["token"]
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.2)
    expired = system.token(expires_at=end.isoformat(timespec="milliseconds")[:-6] + "Z")["token"]
    wait_until(lambda: system.vault().get(f"/v1/tokens/{expired}").status == 410, "its end")
    system.forget_received()
    for token, status, code in ((erased, 410, "erased"), (foreign, 404, "not_found"),
                                (expired, 410, "expired"),
                                ("tok_test_" + "0" * 26, 404, "not_found")):
        answer = pay(system, token)
        problem(answer, status, code)
        outcome(answer, "not_sent", True, "vault")
    equal(system.received(), [], "what was sent")
    equal(pay(system, once).status, 200, "a single use")
    problem(pay(system, once), 410, "token_consumed")


def a_dry_run_shows_what_would_be_sent_and_sends_nothing(system):
    made = system.token(cvv="123")
    system.forget_received()
    answer = pay(system, made["token"], made["cvv"]["token"], headers={"Cardkeep-Dry-Run": "true"})
    equal(answer.status, 200, f"{answer!r}")
    shown = answer.json
    equal((shown["dry_run"], shown["destination"]), (True, "sandbox"), "what")
    equal([slot["field"] for slot in shown["slots"]], ["number", "exp", "exp", "cvv"], "slots")
    equal((shown["policy"]["decision"], shown["policy"]["rule"]), ("allow", "shop-pays"), "why")
    check(made["token"] in shown["request"]["body"], "with its tokens in place")
    equal(system.received(), [], "what was sent")
    equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "the CVV is untouched")


def headers_of_ours_that_are_not_known_are_refused(system):
    token = system.token()["token"]
    system.forget_received()
    for headers in ({"Cardkeep-Dry-Run": "yes"}, {"Cardkeep-Dryrun": "true"},
                    {"Idempotency-Key": "k" * 256}):
        problem(pay(system, token, headers=headers), 400, "invalid_header")
    equal(system.received(), [], "what was sent")


def destinations_and_methods_that_are_not_there_are_named(system):
    answer = system.relay().post("/elsewhere/v1/x", [("a", "b")])
    problem(answer, 422, "unknown_destination")
    outcome(answer, "not_sent", True, "relay")
    problem(system.relay().request("TRACE", "/sandbox/v1/x"), 405, "method_not_allowed")


def a_body_that_is_too_large_is_refused(system):
    # Announced only: a body under way when the server hangs up would meet a reset.
    answer = system.relay().post("/sandbox/v1/x", headers={**KEY, "Content-Length": str(4 << 20)})
    problem(answer, 413, "too_large")
    equal(answer.header("Cardkeep-Outcome"), "not_sent", "what became of it")


def a_slow_gateway_holds_up_nobody_else(system):
    token = system.token()["token"]
    once = {"Idempotency-Key": "relay-slow", "Sandbox-Delay-Ms": "1500"}
    system.forget_received()
    slow = threading.Thread(target=lambda: pay(system, token, behaviour="slow", headers=once))
    slow.start()
    wait_until(system.received, "the slow one is at the gateway")
    equal(pay(system, token).status, 200, "another meanwhile")
    answer = pay(system, token, behaviour="slow", headers=once)
    problem(answer, 409, "state_conflict")
    outcome(answer, "sent_no_answer", False, "relay")
    check(answer.header("Retry-After"), "when to ask again")
    problem(pay(system, token, headers=once, description="other"), 409, "idempotency_conflict")
    check(slow.is_alive(), "the slow one still waits")
    slow.join()


def framing_and_headers_beyond_the_limits_are_refused(system):
    problem(system.relay().post("/sandbox/v1/x", b"0\r\n\r\n", headers={
        **KEY, "Transfer-Encoding": "chunked", "Content-Length": "5"}), 400, "invalid_framing")
    answer = system.relay().post("/sandbox/v1/x", headers={**KEY, "X-Long": "x" * 40000})
    problem(answer, 431, "header_too_large")
    equal(answer.header("Cardkeep-Outcome"), "not_sent", "what became of it")


def a_header_too_long_to_be_sent_on_is_not_called_busy(system):
    answer = pay(system, system.token()["token"], headers={"X-Long": "x" * 9000})
    problem(answer, 431, "header_too_large")
    outcome(answer, "not_sent", True, "relay")


def what_any_connection_header_names_stays_here(system):
    system.forget_received()
    pay(system, system.token()["token"], headers={
        "Connection": "x-one", "connection": "x-two", "X-One": "1", "X-Two": "2", "X-Three": "3"})
    names = {name.lower() for name, _ in system.received()[0]["headers"]}
    equal(names & {"x-one", "x-two", "x-three"}, {"x-three"}, "what was sent on")


def a_dry_run_of_json_shows_every_kind_of_slot(system):
    made = system.token(cvv="123", cardholder_name="A. Example")
    answer = system.relay().post("/sandbox/v1/json/payments", _json_payment(
        made["token"], made["cvv"]["token"]), headers={**KEY, "Cardkeep-Dry-Run": "true"})
    equal([slot["surface"] for slot in answer.json["slots"]], ["json"] * 4, "surfaces")
    equal(sorted(slot["field"] for slot in answer.json["slots"]),
          ["cardholder_name", "cvv", "exp", "number"], "fields")
    token = made["token"]
    answer = pay(system, token, headers={"Cardkeep-Dry-Run": "true"}, **{
        "payment_method_data[billing_details][name]": token})
    equal(answer.status, 200, f"{answer!r}")
    answer = system.relay().post("/sandbox/v1/payment_intents", [
        ("payment_method_data[card][exp_month]", "{{ %s.exp_month }}" % token),
        ("payment_method_data[card][exp_year]", "{{ %s.exp_year }}" % token)],
        headers={**KEY, "Cardkeep-Dry-Run": "true"})
    equal([slot["field"] for slot in answer.json["slots"]], ["exp_month", "exp_year"], "fields")


def each_submission_is_in_both_logs(system):
    token = system.token()["token"]
    vault_start, relay_start = system.audit_size(), system.audit_size("relay")
    answer = pay(system, token, headers={"Cardkeep-On-Behalf-Of": "customer 77"})
    submission = answer.header("Cardkeep-Submission")
    relay = [one for one in system.audit("relay", relay_start) if submission in json.dumps(one)]
    check(relay and {one["actor"] for one in relay} == {"shop"}, f"the relay's: {relay}")
    check(any(one.get("on_behalf_of") == "customer 77" for one in relay), "for whom")

    def settled():
        entries = system.audit(start=vault_start)
        events = [one["event"] for one in entries if one["actor"] == "relay"]
        return entries if "card.settle" in events else None
    entries = wait_until(settled, "the vault's log has the settlement")
    lease = [one for one in entries if one["event"] == "card.lease"]
    equal((len(lease), lease[0]["actor"], lease[0]["on_behalf_of"]), (1, "relay", "shop"), "lease")
    check(token in json.dumps(lease) and submission in json.dumps(lease), "of what, for what")
