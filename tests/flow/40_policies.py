# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every refusal has its code, is in the log, and nothing happened."""
import json
import os
import ssl
import subprocess
import urllib.error

from harness import (KEY, MASTERCARD, VISA, Caller, check, equal, outcome, pay, payment, problem,
                     wait_until)

CARD = {"number": VISA, "exp_month": 12, "exp_year": 2031}
LEASE = {"submission_id": "sub_flow", "destination": "sandbox", "purpose": "payment",
         "on_behalf_of": "shop", "cvv_tokens": []}


def prepare(system):
    """Besides the seven principals: one that no policy names, and one whose time is over."""
    system.edit("policies.yaml", '  auditor: {uri: "urn:cardkeep:auditor"}\n',
                '  auditor: {uri: "urn:cardkeep:auditor"}\n'
                '  late: {uri: "urn:cardkeep:demo:late", tenant: demo}\n'
                '  idle: {uri: "urn:cardkeep:demo:idle", tenant: demo}\n')
    system.edit("policies.yaml", "principals: [shop]\n", "principals: [shop, late]\n")
    system.edit("policies.yaml", "rules:\n", "rules:\n  - id: idle-is-idle\n    effect: deny\n"
                "    actions: [card.tokenize, card.submit]\n    principals: [idle]\n"
                "    tenants: [demo]\n    destinations: [sandbox]\n")
    _issue(system, "stranger", "urn:cardkeep:demo:stranger")
    _issue(system, "idle", "urn:cardkeep:demo:idle")
    _issue(system, "late", "urn:cardkeep:demo:late", "-days", "-1")


def _openssl(system, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=system.path("tls"), capture_output=True,
                          text=True, check=False)
    equal(done.returncode, 0, f"openssl {arguments[0]}: {done.stderr}")


def _issue(system, name, uri, *validity):
    """By the system's own authority; `-days -1` ended yesterday."""
    with open(system.path("tls", f"{name}.ext"), "w", encoding="utf-8") as file:
        file.write(f"subjectAltName=URI:{uri}\nextendedKeyUsage=clientAuth\n")
    _openssl(system, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    _openssl(system, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
             "-set_serial", str(int.from_bytes(os.urandom(8), "big")), "-extfile", f"{name}.ext",
             "-out", f"{name}.pem", *(validity or ("-days", "1")))


def _lease(tokens, **changes):
    return {"leases": [{**LEASE, "tokens": tokens, **changes}]}


def _refused(system, daemon, answer, status, code, event, actor):
    """The problem, and its entry in that daemon's log."""
    problem(answer, status, code)
    entries = [one for one in system.audit(daemon)
               if one.get("request_id") == answer.header("Request-Id")]
    equal([(one["event"], one["outcome"], one["actor"]) for one in entries],
          [(event, code, actor)], "the entry of the refusal")
    check(VISA not in json.dumps(entries), "no card in it")


def who_has_no_right_stores_nothing(system):
    for who in ("idle", "relay", "auditor"):
        answer = system.vault(who).post("/v1/tokens", CARD)
        _refused(system, "vault", answer, 403, "denied", "policy.deny", who)


def who_has_no_right_sees_nothing(system):
    token = system.token()["token"]
    for who in ("idle", "relay", "auditor"):
        for answer in (system.vault(who).get(f"/v1/tokens/{token}"),
                       system.vault(who).delete(f"/v1/tokens/{token}"),
                       system.vault(who).post(f"/v1/tokens/{token}/cvv", {"cvv": "123"})):
            _refused(system, "vault", answer, 403, "denied", "policy.deny", who)
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "it is still there")


def what_a_caller_without_rights_sends_is_not_even_judged(system):
    for body in (b"{", b'{"number": "1"}'):
        answer = system.vault("idle").post("/v1/tokens", body,
                                           headers={"Content-Type": "application/json"})
        problem(answer, 403, "denied")


def another_tenant_s_token_is_not_found(system):
    token = system.token()["token"]
    never = "tok_test_" + "0" * 26
    answers = [system.vault("other").get(f"/v1/tokens/{one}") for one in (token, never)]
    for answer in answers:
        problem(answer, 404, "not_found")
    one, two = (dict(answer.json, request_id="") for answer in answers)
    equal(one, two, "the two cannot be told apart")
    problem(system.vault("other").delete(f"/v1/tokens/{token}"), 404, "not_found")
    equal(system.vault().get(f"/v1/tokens/{token}").status, 200, "it is still there")


def who_is_not_known_is_told_so(system):
    token = system.token()["token"]
    for answer in (system.vault("stranger").post("/v1/tokens", CARD),
                   system.vault("stranger").get(f"/v1/tokens/{token}"),
                   system.vault("stranger").get("/v1/audit/entries")):
        _refused(system, "vault", answer, 401, "unknown_principal", "auth.fail", "-")
    for path in ("/v1/audit/entries", "/v1/audit/checkpoint"):
        _refused(system, "relay", system.relay("stranger").get(path), 401, "unknown_principal",
                 "auth.fail", "-")
    system.forget_received()
    answer = pay(system, token, who="stranger")
    _refused(system, "relay", answer, 401, "unknown_principal", "auth.fail", "-")
    outcome(answer, "not_sent", True, "policy")
    equal(system.received(), [], "what was sent")


def _turned_away(caller):
    """True when the server does not go on after the handshake."""
    try:
        answer = caller.get("/v1/audit/entries")
    except (OSError, ssl.SSLError, urllib.error.URLError):
        return True
    return answer.status == 401 and answer.json["code"] == "unknown_principal"


def a_certificate_whose_time_is_over_is_refused(system):
    check(_turned_away(system.vault("late")), "at the vault")
    check(_turned_away(system.relay("late")), "at the relay")


def no_certificate_is_no_entry(system):
    check(_turned_away(system.vault(None)), "at the vault")
    check(_turned_away(system.relay(None)), "at the relay")
    check(_turned_away(system.relay(None, "stripe_listen")), "at a bound listener")


def a_certificate_of_another_authority_is_refused(system):
    _openssl(system, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=self", "-days", "1", "-addext",
             "subjectAltName=URI:urn:cardkeep:demo:shop", "-keyout", "self.key", "-out",
             "self.pem")
    check(_turned_away(system.vault("self")), "at the vault")
    check(_turned_away(system.relay("self")), "at the relay")


def the_relay_leases_and_does_nothing_else(system):
    for kind in ("not_sent", "answered", "sent_no_answer"):
        made = system.token(cvv="123", cardholder_name="A. Example")
        answer = system.vault("relay").post("/v1/leases", _lease(
            [made["token"]], submission_id=f"sub_{kind}", cvv_tokens=[made["cvv"]["token"]]),
            shows_cards=True)
        equal(answer.status, 200, f"{answer.status}")
        lease = answer.json["results"][0]
        equal([(one["number"], one["cardholder_name"]) for one in lease["cards"]],
              [(VISA, "A. Example")], "the card")
        equal([one["value"] for one in lease["cvvs"]], ["123"], "the code")
        for _ in range(2):
            answer = system.vault("relay").post("/v1/settlements", {"settlements": [
                {"lease_id": lease["lease_id"], "outcome": kind}]})
            equal((answer.status, [one.get("code") for one in answer.json["results"]]),
                  (200, [None]), f"settled, once or twice: {answer!r}")
    for answer in (system.vault("relay").post("/v1/tokens", CARD),
                   system.vault("relay").get(f"/v1/tokens/{made['token']}"),
                   system.vault("relay").get("/v1/audit/entries"),
                   system.vault("relay").get("/v1/audit/checkpoint")):
        _refused(system, "vault", answer, 403, "denied", "policy.deny", "relay")
    problem(system.relay("relay").post("/sandbox/v1/payment_intents", payment(made["token"]),
                                       headers=KEY), 403, "denied")


def a_lease_is_for_a_destination_that_policy_names(system):
    token = system.token()["token"]
    answer = system.vault("relay").post("/v1/leases", _lease([token], destination="elsewhere"))
    equal(answer.status, 200, f"{answer!r}")
    check(answer.json["results"][0]["code"] in ("denied", "unknown_destination"), f"{answer!r}")
    answer = system.vault("relay").post("/v1/leases", _lease([token], on_behalf_of="idle"))
    equal([answer.json["results"][0][name] for name in ("code", "rule")],
          ["denied", "idle-is-idle"], "for one that may not submit")
    answer = system.vault("relay").post("/v1/leases", _lease([token], on_behalf_of="other"))
    check(answer.json["results"][0]["code"] in ("denied", "not_found"), "for another tenant")


def an_application_sends_and_never_sees(system):
    made = system.token(cvv="123")
    equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "it may send")
    for who in ("shop", "other", "auditor", "idle"):
        for path, body in (("/v1/leases", _lease([made["token"]])),
                           ("/v1/settlements", {"settlements": [{"lease_id": "l" * 22,
                                                                 "outcome": "not_sent"}]})):
            _refused(system, "vault", system.vault(who).post(path, body), 403, "denied",
                     "policy.deny", who)


def who_may_not_submit_sends_nothing(system):
    token = system.token(MASTERCARD, who="other")["token"]
    system.forget_received()
    for who in ("other", "auditor", "idle"):
        answer = pay(system, token, who=who)
        _refused(system, "relay", answer, 403, "denied", "policy.deny", who)
        outcome(answer, "not_sent", True, "policy")
    equal(system.received(), [], "what was sent")


def another_tenant_s_card_cannot_be_sent(system):
    token = system.token(MASTERCARD, who="other")["token"]
    system.forget_received()
    problem(pay(system, token), 404, "not_found")
    equal(system.received(), [], "what was sent")


def only_the_auditor_reads_the_logs(system):
    for daemon, caller in (("vault", system.vault), ("relay", system.relay)):
        for path in ("/v1/audit/entries", "/v1/audit/checkpoint"):
            # The first checkpoint comes with the first tick.
            wait_until(lambda: caller("auditor").get(path).status == 200, f"{path} of {daemon}")
            _refused(system, daemon, caller("shop").get(path), 403, "denied", "policy.deny",
                     "shop")


def the_rule_that_refused_is_named(system):
    found = problem(system.vault("idle").post("/v1/tokens", CARD), 403, "denied")
    equal(found.get("rule"), "idle-is-idle", "the rule")
    system.edit("policies.yaml", "rules:\n", "rules:\n  - id: nobody-pays-today\n"
                "    effect: deny\n    actions: [card.submit]\n    principals: [shop]\n"
                "    tenants: [demo]\n    destinations: [sandbox]\n")
    token = system.token()["token"]
    for daemon in ("relay", "vault"):
        system.stop(daemon)
        system.start(daemon)
        found = problem(pay(system, token), 403, "denied")
        equal(found.get("rule"), "nobody-pays-today", "the rule")
    system.edit("policies.yaml", "effect: deny\n    actions: [card.submit]\n    principals: [shop]",
                "effect: deny\n    actions: [card.submit]\n    principals: [idle]")
    for daemon in ("relay", "vault"):
        system.stop(daemon)
        system.start(daemon)
    equal(pay(system, token).status, 200, "the rule is gone")


def a_caller_is_who_the_certificate_says_and_not_who_a_header_says(system):
    caller = Caller(system.ports["vault"], system.context("stranger"), "vault")
    answer = caller.post("/v1/tokens", CARD, headers={
        "X-Forwarded-Client-Cert": "URI=urn:cardkeep:demo:shop", "X-Client-Cert": "shop"})
    problem(answer, 401, "unknown_principal")
