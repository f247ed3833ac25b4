# SPDX-License-Identifier: Apache-2.0
"""What is left of a card once it went out through the relay: nothing, whatever became of it."""
import json
import os
import shutil
import urllib.parse

from echoing import WAYS, Echoing
from harness import FORM, KEY, ROOT, check, equal, payment, together, wait_until
from rounds import rounds
from scan import Watch, drawn_text
from wire import Http2, Wire, request

SOAK = True
INTENTS = "/sandbox/v1/payment_intents"
BEHAVIOURS = (None, "approve", "decline", "requires_action", "close_before", "close_half", "echo",
              "malformed", "error_500", "error_400", "redirect")


def prepare(system):
    """A gateway that echoes, one that has little patience, and logs that hold back nothing."""
    for daemon in ("vault", "relay"):
        system.edit(f"{daemon}.yaml", "log: {level: info}", "log: {level: debug}")
    shutil.copytree(os.path.join(ROOT, "relay/gateways"), system.path("gateways"))
    system.edit("relay.yaml", os.path.join(ROOT, "relay/gateways"), system.path("gateways"))
    with open(system.path("gateways/sandbox.yaml"), encoding="utf-8") as file:
        text = file.read()
    with open(system.path("gateways/hasty.yaml"), "w", encoding="utf-8") as file:
        file.write(text.replace("gateway: sandbox", "gateway: hasty")
                   .replace("connect: 2s, total: 30s", "connect: 1s, total: 1s"))
    system.echoing = Echoing(system)
    for name, profile, port in (("echoing", "sandbox", system.echoing.port),
                                ("hasty", "hasty", system.echoing.port),
                                ("nobody", "sandbox", 1)):
        system.edit("relay.yaml", "destinations:\n", f"""destinations:
  {name}:
    gateway: {profile}
    host: localhost
    port: {port}
    authorities: tls/ca.pem
    allow: ["127.0.0.0/8", "::1/128"]
""")
    system.edit("policies.yaml", "  stripe-sandbox: {}\n",
                "  stripe-sandbox: {}\n  echoing: {}\n  hasty: {}\n  nobody: {}\n")
    system.edit("policies.yaml", "[sandbox, stripe-sandbox]",
                "[sandbox, stripe-sandbox, echoing, hasty, nobody]")


class Payer:
    """Pays with new cards, all of them watched for, over connections that stay open."""

    def __init__(self, system):
        self.system = system
        self.watch = Watch(system)
        self.wires = []

    def made(self, whose):
        card = json.loads(self.watch.body(whose))
        del card["purchase"]  # Else the code would be for that purchase only.
        view = self.system.token(**card)
        self.watch.text(whose + "'s code in its lease", view["cvv"]["token"] + '","value":"737"')
        return view

    def form(self, whose, **more):
        """A payment; the memo beside the code makes its three digits be found."""
        view, memo = self.made(whose), drawn_text()
        self.watch.text(whose + "'s code in its form", f"=737&metadata%5Bmemo%5D={memo}")
        return urllib.parse.urlencode(payment(view["token"], view["cvv"]["token"], **{
            "metadata[memo]": memo, "payment_method_data[billing_details][name]": view["token"],
            **more})).encode()

    def json(self, whose):
        view, memo = self.made(whose), drawn_text()
        self.watch.text(whose + "'s code in its object", f'"737", "memo": "{memo}"')
        return json.dumps({"amount": 1999, "currency": "eur", "card": {
            "number": view["token"], "expiry": view["token"], "name": view["token"],
            "security_code": view["cvv"]["token"], "memo": memo}}).encode()

    def send(self, protocol, path, body, content_type=FORM, **headers):
        """One request on a connection of its own; its status, or None."""
        wire = protocol(self.system, port="relay")
        headers = {"Content-Type": content_type, **KEY, **headers}
        if protocol is Wire:
            self.wires.append(wire)
            wire.send(request("POST", path, body, **headers))
            return wire.answer()
        self.wires.append(wire.wire)
        return wire.ask("POST", path, body, **headers)

    def done(self):
        """Nothing is left, with all connections open and with none."""
        self.watch.clean()
        for wire in self.wires:
            wire.close()
        self.watch.clean()


def a_paid_card_is_gone_whatever_the_gateway_does(system):
    payer = Payer(system)
    for protocol in (Wire, Http2):
        for behaviour in BEHAVIOURS:
            headers = {} if behaviour is None else {"Sandbox-Behaviour": behaviour}
            status = payer.send(protocol, INTENTS, payer.form(f"{behaviour}, form"), **headers)
            check(status is not None, f"{behaviour}: an answer")
            status = payer.send(protocol, "/sandbox/v1/json/payments",
                                payer.json(f"{behaviour}, JSON"), "application/json", **headers)
            check(status is not None, f"{behaviour}: an answer")
    payer.done()


def a_gateway_that_echoes_in_any_coding_leaves_nothing_here(system):
    payer = Payer(system)
    sent = []
    for way in WAYS:
        path = f"/{'hasty' if way == 'never' else 'echoing'}/" + urllib.parse.quote(way)
        for protocol in (Wire,) if way == "never" else (Wire, Http2):
            before = len(system.echoing.received)
            status = payer.send(protocol, path, payer.form(f"echoed as {way}"))
            check(status is not None, f"{way}: an answer")
            status = payer.send(protocol, path, payer.json(f"echoed as {way}, JSON"),
                                "application/json")
            check(status is not None, f"{way}: an answer")
            sent += system.echoing.received[before:]
    # The search looks for what did go out.
    joined = b"\n".join(sent)
    for needle, (whose, shape) in payer.watch.needles.items():
        if shape == "text" and ("its form" in whose or "its object" in whose):
            check(needle in joined, f"{whose} was sent: {needle}")
    for number, whose in payer.watch.numbers.items():
        check(number.encode() in joined, f"{whose} was sent")
    payer.done()


def slots_and_expressions_of_every_kind_leave_nothing(system):
    payer = Payer(system)
    number, expiry = "payment_method_data[card][number]", "payment_method_data[card][exp_year]"
    for protocol in (Wire, Http2):
        for slot, expression in ((number, "{{ %s }}"), (number, "{{ %s.number | base64 }}"),
                                 (number, "{{ %s.number | last4 }}"), (number, "{{ %s | rot13 }}"),
                                 (number, "{{ %s"), (expiry, "{{ %s.exp | yymm }}"),
                                 ("description", "%s"), ("description", "{{ %s.number }}")):
            view = payer.made(expression)
            body = urllib.parse.urlencode([("amount", "1"), ("currency", "eur"),
                                           (slot, expression % view["token"])]).encode()
            for headers in ({"Cardkeep-Dry-Run": "true"}, {}):
                check(payer.send(protocol, INTENTS, body, **headers) is not None, "an answer")
    payer.done()


def what_is_refused_or_cannot_be_sent_leaves_nothing(system):
    payer = Payer(system)
    number = payer.watch.card
    for protocol in (Wire, Http2):
        def refused(status, path, body, protocol=protocol, **headers):
            equal(payer.send(protocol, path, body, **headers), status, f"{path} {body[:60]}")
        slot = "payment_method_data%5Bcard%5D%5Bnumber%5D="
        refused(422, INTENTS, (slot + number("a card for a token")).encode())
        # Outside slots it passes as it is, and the gateway refuses it.
        refused(400, INTENTS, ("description=" + number("a card in a text")).encode())
        refused(400, "/sandbox/v1/json/payments", b'{"card": {"number": "%s"' %
                number("a card in half an object").encode(), content_type="application/json")
        refused(422, "/sandbox/v1/json/payments", b'{"card": {"number": "%s"}}' %
                number("a card in an object").encode(), content_type="application/json")
        refused(422, "/elsewhere/v1/x", (slot + number("to nowhere")).encode())
        refused(404, "/sandbox/v1/" + number("in a path"), b"a=b")
        refused(404, "/sandbox/v1/x?a=" + number("in a query"), b"a=b")
        for name in ("Cardkeep-On-Behalf-Of", "Idempotency-Key", "Request-Id", "X-Other"):
            status = payer.send(protocol, "/sandbox/v1/x", b"a=b", **{
                name: number("in the header " + name)})
            check(status in (400, 404), f"the header {name}: {status}")
        refused(400, INTENTS, payer.form("a bad header"), **{"Cardkeep-Dry-Run": "perhaps"})
        refused(502, "/nobody/v1/x", payer.form("to nobody"))
        refused(200, INTENTS, payer.form("a dry run"), **{"Cardkeep-Dry-Run": "true"})
        refused(413, INTENTS, payer.form("too large", description="x" * (1 << 20)))
    payer.done()


def callers_who_die_while_it_goes_out_leave_nothing(system):
    payer = Payer(system)
    for protocol in (Wire, Http2):
        for way in ("never", "plain", "too large"):
            wire = protocol(system, port="relay")
            body = payer.form(f"a dead caller's, {way}")
            path = "/hasty/" + urllib.parse.quote(way)
            before = len(system.echoing.received)
            if protocol is Wire:
                wire.send(request("POST", path, body, **{"Content-Type": FORM, **KEY}))
            else:
                wire.wire.send(wire.post(path, body, **{"Content-Type": FORM, **KEY}))
            wait_until(lambda: len(system.echoing.received) > before, "the gateway has it")
            (wire if protocol is Wire else wire.wire).kill()
        wire = protocol(system, port="relay")
        text = payer.watch.card("a card in half a body").encode()
        if protocol is Wire:
            wire.send(request("POST", INTENTS, b"a=" + text, size=100, **{"Content-Type": FORM}))
            wire.kill()
        else:
            wire.wire.send(wire.head("POST", INTENTS, **{"Content-Type": FORM}) +
                           b"".join(wire.data(b"a=" + text, 5, end=False)))
            wire.wire.kill()
    payer.done()


def a_vault_that_dies_under_a_payment_leaves_nothing(system):
    payer = Payer(system)
    bodies = [payer.form("a payment while the vault dies") for _ in range(8)]
    keepers = []

    def kill():
        keepers.append(system.kill_part("vault", "keeper"))
    statuses = together(*[lambda body=body: payer.send(Wire, INTENTS, body) for body in bodies],
                        kill)[:-1]
    check(None not in statuses, f"each has an answer: {statuses}")
    wait_until(lambda: system.part("vault", "keeper") not in (None, *keepers), "a new keeper")
    wait_until(lambda: system.is_ready("vault") and system.is_ready("relay"), "both are well")
    payer.done()


def many_payments_on_connections_that_stay_open_leave_nothing(system):
    payer = Payer(system)

    def paying(whose, protocol, count):
        wire = protocol(system, port="relay")
        payer.wires.append(wire if protocol is Wire else wire.wire)
        headers = {"Content-Type": FORM, **KEY, "Sandbox-Behaviour": "echo"}
        for _ in range(count):
            body = payer.form(whose)
            if protocol is Wire:
                wire.send(request("POST", INTENTS, body, **headers))
                equal(wire.answer(), 200, whose)
            else:
                equal(wire.ask("POST", INTENTS, body, **headers), 200, whose)
    for turn in rounds(2):
        together(*[lambda whose=f"payer {index}, round {turn}", protocol=protocol:
                   paying(whose, protocol, 20)
                   for index, protocol in enumerate((Wire, Http2, Wire, Http2))])
        payer.watch.clean()
        if turn % 4 == 3:  # As many numbers as the search takes.
            payer.done()
            payer = Payer(system)
    payer.done()
    system.echoing.close()
