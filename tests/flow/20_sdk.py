# SPDX-License-Identifier: Apache-2.0
"""A gateway's own SDK, unmodified, with the relay for its host and tokens for its card.

The same program runs twice: against the relay with tokens, and straight against the gateway with
the card.  The gateway must not be able to tell the two apart.
"""
import base64
import json
import os
import re
import shutil
import subprocess

from harness import AMEX, DECLINED, VISA, cards_in, check, equal

SDK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sdk")
# Of the connection, and not of the request.
OF_THE_HOP = ("host", "connection", "keep-alive", "accept-encoding")


def prepare(system):
    """The SDK as npm gives it, in the build folder; once."""
    folder = os.path.join(system.build, "flow-sdk")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(SDK, "package-lock.json"), "rb") as file:
        wanted = file.read()
    stamp = os.path.join(folder, "installed.json")
    if os.path.exists(stamp):
        with open(stamp, "rb") as file:
            if file.read() == wanted:
                return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(os.path.join(SDK, name), folder)
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                          cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    equal(done.returncode, 0, f"npm ci: {done.stderr[-2000:]}")
    with open(stamp, "wb") as file:
        file.write(wanted)


def _run(system, order, card, through=None, certificate="shop", **metadata):
    """What the program printed; through None goes straight to the gateway."""
    settings = {"host": "localhost", "port": system.ports[through or "sandbox"], "order": order,
                "authorities": system.path("tls/ca.pem"), "card": card, "metadata": metadata}
    if through is not None and certificate is not None:
        settings.update(certificate=system.path(f"tls/{certificate}.pem"),
                        key=system.path(f"tls/{certificate}.key"))
    modules = os.path.join(system.build, "flow-sdk/node_modules")
    done = subprocess.run(["node", os.path.join(SDK, "payments.js")], capture_output=True,
                          text=True, timeout=120, check=False, input=json.dumps(settings),
                          env={**os.environ, "NODE_PATH": modules})
    equal((done.returncode, done.stderr), (0, ""), "the program's end")
    return done.stdout


def _tokens(system, number, cvv):
    made = system.token(number, cvv=cvv)
    return {"number": made["token"], "exp_month": made["token"], "exp_year": made["token"],
            "cvc": made["cvv"]["token"]}


def _arrived(system, order):
    """The gateway's view, without what differs from any run to the next."""
    requests = []
    for one in system.received():
        headers = sorted([name.lower(), value] for name, value in one["headers"]
                         if name.lower() not in OF_THE_HOP)
        text = json.dumps([one["method"], one["path"], one["query"], headers,
                           base64.b64decode(one["body_base64"]).decode()])
        requests.append(re.sub(r"\bpi_\w+", "pi_ID", text).replace(order, "ORDER"))
    return requests


def _same_at_the_gateway(system, number, cvv, name):
    system.forget_received()
    straight = _run(system, f"{name}-straight", {"number": number, "exp_month": 12,
                                                 "exp_year": 2031, "cvc": cvv})
    expected = _arrived(system, f"{name}-straight")
    system.forget_received()
    printed = _run(system, f"{name}-relayed", _tokens(system, number, cvv), "stripe_listen")
    arrived = _arrived(system, f"{name}-relayed")
    equal(len(arrived), len(expected), f"requests; {printed}")
    for index, one in enumerate(expected):
        equal(arrived[index], one, f"request {index + 1}")
    return straight, printed


def a_payment_s_whole_life_goes_through_unseen(system):
    straight, printed = _same_at_the_gateway(system, VISA, "123", "life")
    equal([one["status"] for one in json.loads(printed)["answers"]],
          [one["status"] for one in json.loads(straight)["answers"]], "states")
    check("error" not in json.loads(printed), printed)
    equal(cards_in(printed.encode()), [], "cards that the program could see")


def the_gateway_got_the_card_and_no_token(system):
    bodies = b"\n".join(base64.b64decode(one["body_base64"]) for one in system.received())
    check(VISA.encode() in bodies, "the card")
    check(b"tok_" not in bodies and b"cvv_" not in bodies, "no token")


def a_decline_reaches_the_program_as_the_sdk_s_own_error(system):
    straight, printed = _same_at_the_gateway(system, DECLINED, "123", "decline")
    errors = [json.loads(text)["error"] for text in (straight, printed)]
    for name in ("type", "code", "message"):
        equal(errors[1][name], errors[0][name], name)
    equal(errors[1]["type"], "StripeCardError", "the error's class")
    equal(cards_in(printed.encode()), [], "cards that the program could see")


def where_the_gateway_echoes_the_program_still_sees_no_card(system):
    for number, cvv in ((VISA, "737"), (AMEX, "7373")):
        card = _tokens(system, number, cvv)
        printed = _run(system, f"echo-{len(number)}", card, "stripe_listen",
                       sandbox_behaviour="echo")
        answers = json.loads(printed)["answers"]
        check(card["number"] in answers[0]["echo"]["number"], "the token in its place")
        equal(cards_in(printed.encode()), [], "cards that the program could see")
        check(f'"{cvv}"' not in printed, "nor the code")


def what_the_relay_refuses_is_an_error_and_never_a_payment(system):
    erased = system.token()["token"]
    system.vault().delete(f"/v1/tokens/{erased}")
    system.forget_received()
    for name, card, code in (
            ("erased", {"number": erased, "exp_month": 1, "exp_year": 2031}, "erased"),
            ("raw", {"number": VISA, "exp_month": 1, "exp_year": 2031}, "card_in_free_text")):
        error = json.loads(_run(system, name, card, "stripe_listen"))["error"]
        equal(error["code"], code, f"what the program heard: {str(error)[:500]}")
    equal(system.received(), [], "what was sent")


def a_program_without_a_certificate_gets_nowhere(system):
    system.forget_received()
    card = {"number": system.token()["token"], "exp_month": 1, "exp_year": 2031}
    printed = _run(system, "nobody", card, "stripe_listen", certificate=None)
    equal(json.loads(printed)["error"]["code"], "unknown_principal", printed)
    equal(system.received(), [], "what was sent")
