# SPDX-License-Identifier: Apache-2.0
"""Requests written as data: bad_input/*.yaml, one entry a case, asked by 45_bad_input.py.

Each case is asked on a connection of its own.  Its answer must be the one that the entry says, and
repeat nothing that was sent; the connection then takes a good request, or is closed in order; the
daemon answers a good request in any case; the gateway got nothing but what the entry says; and the
record has no entry that says otherwise.

An entry: `name`, a sentence of fact; `to`, the daemon.  Who and where: `as`, `listener`, `method`,
`path`, `headers` (null leaves one out, a list is one line each).  What, one of: `card` (the good
card with these fields changed) and `without`, `json`, `form`, `pay` (a payment with this token),
`body` (UTF-8), `bytes` (latin-1), `raw` (a whole request, line by line); `gateway`: which one is
asked, what it `says`, and whether it `then` holds.  Expected: `status`, `code`, `field` (absent:
none), `detail` (words of it), `results` of a batch, `outcome` (the relay's three headers), `sent`
(how many requests, else none) and `kept` (false: closed).  <mark> stands for what must never be
seen again; World has the other words.
"""
import datetime
import json
import os
import re
import urllib.parse

import yaml

from harness import FORM, JSON, KEY, VISA, cards_in, check, equal, pay, payment, problem, wait_until
import raw_h2
from raw import Raw, head

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad_input")
GOOD_CARD = {"number": VISA, "exp_month": 12, "exp_year": 2031}
PATHS = {"vault": "/v1/tokens", "relay": "/sandbox/v1/payment_intents"}
FRAME_BYTES = 16384
H1_ONLY = ("Host", "Content-Length", "Connection")
MAKES = ("card.tokenize", "cvv.store", "card.delete")
MARK = "qzxmark"
KNOWN = {"name", "to", "as", "listener", "method", "path", "headers", "card", "without", "json",
         "form", "body", "bytes", "raw", "pay", "status", "code", "field", "detail", "kept", "sent",
         "results", "outcome", "gateway"}


def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        cases = yaml.safe_load(file)
    for case in cases:
        if "gateway" in case:
            case.setdefault("path", f"/{case['gateway']['at']}/v1/payment_intents")
            case.setdefault("form", {"payment_method_data[card][number]": "<token>"})
        check(set(case) <= KNOWN, f"{case['name']}: {set(case) - KNOWN} means nothing")
        check({"name", "to", "status"} <= set(case), f"{case}: a name, a daemon, a status")
        check("code" in case or "sent" in case or case["status"] < 300,
              f"{case['name']}: a refusal has a code")
    names = [case["name"] for case in cases]
    equal(sorted(set(names)), sorted(names), f"names in {name}, each once")
    return cases


def luhn(digits):
    """The digits with the check digit behind them."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - index % 2)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


class World:
    """What the words in angle brackets stand for: <token>, <mark>, <x * 256>, <luhn 9999000>."""

    def __init__(self, system):
        self.system = system
        self.token = system.token()["token"]
        self.made = {}
        self.contexts = {}
        self.words = {"visa": lambda: VISA, "mark": lambda: MARK, "token": lambda: self.token,
                      "cvv": lambda: system.token(cvv="123")["cvv"]["token"],
                      "card": lambda: json.dumps(GOOD_CARD)[1:-1],
                      "unknown token": lambda: "tok_test_" + "0" * 26,
                      "other token": lambda: self.once("other", self.of_another),
                      "erased token": lambda: self.once("erased", self.erased),
                      "expired token": lambda: self.once("expired", self.expired),
                      "used token": lambda: self.once("used", self.used)[0],
                      "used cvv": lambda: self.once("used", self.used)[1]}

    def context(self, who):
        """TLS for HTTP/2 as this principal."""
        if who not in self.contexts:
            self.contexts[who] = raw_h2.context(self.system, who)
        return self.contexts[who]

    def once(self, name, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def of_another(self):
        return self.system.token(who="other")["token"]

    def erased(self):
        token = self.system.token()["token"]
        equal(self.system.vault().delete(f"/v1/tokens/{token}").status, 204, "erasing")
        return token

    def used(self):
        made = self.system.token(single_use=True, cvv="123")
        token, cvv = made["token"], made["cvv"]["token"]
        equal(pay(self.system, token, cvv).status, 200, "a payment")
        return token, cvv

    def expired(self):
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.2)
        token = self.system.token(expires_at=end.isoformat(timespec="milliseconds")[:-6] +
                                  "Z")["token"]
        wait_until(lambda: self.system.vault().get(f"/v1/tokens/{token}").status == 410, "its end")
        return token

    def word(self, match):
        text = match.group(1)
        many = re.fullmatch(r"(.+?) \* (\d+)", text, re.DOTALL)
        if many:
            return many.group(1) * int(many.group(2))
        if text.startswith("luhn "):
            return luhn(text[5:])
        return self.words[text]() if text in self.words else match.group(0)

    def fill(self, value):
        """The same with every word replaced, in keys as well."""
        if isinstance(value, str):
            return re.sub(r"<([^<>]+)>", self.word, value)
        if isinstance(value, list):
            return [self.fill(one) for one in value]
        if isinstance(value, dict):
            return {self.fill(name): self.fill(one) for name, one in value.items()}
        return value


def body_of(case):
    """(bytes or None, content type)."""
    if "card" in case or "without" in case:
        card = {**GOOD_CARD, **case.get("card", {})}
        return json.dumps({name: value for name, value in card.items()
                           if name not in case.get("without", [])}).encode(), JSON
    if "json" in case:
        return json.dumps(case["json"]).encode(), JSON
    if "body" in case:
        return case["body"].encode(), JSON
    if "bytes" in case:
        return case["bytes"].encode("latin-1"), JSON
    if "pay" in case:
        fields = {**dict(payment(case["pay"])), **case.get("form", {})}
        return urllib.parse.urlencode(fields).encode(), FORM
    if "form" in case:
        return urllib.parse.urlencode(case["form"]).encode(), FORM
    return None, None


def parts_of(case, request_id):
    """(method, path, headers, body or None)."""
    body, kind = body_of(case)
    method = case.get("method", "GET" if body is None else "POST")
    headers = {"Host": "localhost", "Request-Id": request_id}
    if body is not None:
        headers.update({"Content-Type": kind, "Content-Length": str(len(body))})
    if case["to"] == "relay":
        headers.update(KEY)
    headers.update(case.get("headers", {}))
    headers = {name: value for name, value in headers.items() if value is not None}
    return method, case.get("path", PATHS[case["to"]]), headers, body


def request_of(case, request_id):
    """(method, bytes on the wire)."""
    if "raw" in case:
        return (case["raw"][0].split(" ")[0],
                "\r\n".join(case["raw"]).encode("latin-1"))
    method, path, headers, body = parts_of(case, request_id)
    return method, head(method, path, headers) + (body or b"")


def frames_of(case, request_id):
    """The same as HTTP/2 frames, none larger than anybody must take."""
    method, path, headers, body = parts_of(case, request_id)
    pairs = [(name.lower(), one) for name, value in headers.items() if name not in H1_ONLY
             for one in (value if isinstance(value, list) else [value])]
    blocks = _pieces(raw_h2.block(method, path, pairs, headers["Host"]))
    data = _pieces(body or b"") if body is not None else []
    out = b""
    for index, piece in enumerate(blocks):
        flags = raw_h2.END_HEADERS if index == len(blocks) - 1 else 0
        ends = raw_h2.END_STREAM if index == 0 and not data else 0
        out += raw_h2.frame(raw_h2.CONTINUATION if index else raw_h2.HEADERS, flags | ends, 1,
                            piece)
    for index, piece in enumerate(data):
        out += raw_h2.frame(raw_h2.DATA, raw_h2.END_STREAM if index == len(data) - 1 else 0, 1,
                            piece)
    return method, out


def _pieces(data):
    return [data[at:at + FRAME_BYTES] for at in range(0, max(len(data), 1), FRAME_BYTES)]


def outcomes_of(case):
    """What its entries in the log may say became of it."""
    if "results" in case:
        return ["ok"] + [one.split(" ")[0] for one in case["results"]]
    # An intent is on record before the vault is asked, and what came of it afterwards.
    intent = ["ok", case["outcome"].split(" ")[0]] if "outcome" in case else []
    return intent + [case.get("code", "ok")]


class Table:
    """All cases of one file, one after another."""

    def __init__(self, world, name, gateways):
        self.system = world.system
        self.world = world
        self.stem = name.rsplit(".", 1)[0]
        self.cases = load(name)
        self.sandbox = self.system.gateway()
        self.gateways = gateways

    def connect(self, case, who):
        return Raw(self.system.ports[case.get("listener", case["to"])], self.system.context(who))

    def is_well(self, case, number, raw):
        """A good request of the shop's, which sends nothing to a gateway."""
        if case["to"] == "vault":
            good = {"to": "vault", "path": f"/v1/tokens/{self.world.token}"}
        else:
            good = {"to": "relay", "pay": self.world.token,
                    "headers": {"Cardkeep-Dry-Run": "true"}}
            if case.get("listener", "relay") != "relay":
                good["path"] = PATHS["relay"][len("/sandbox"):]
        method, data = request_of(good, f"good-{self.stem}-{number}")
        check(raw.send(data), "a good request is taken")
        answer = raw.answer(method)
        check(answer is not None and answer.status == 200, f"a good request after it: {answer!r}")

    def ask(self, number, case):
        who = case.get("as", "shop")
        kept = case.get("kept", True) and who == "shop"
        with self.connect(case, who) as raw:
            self.ask_on(raw, number, case)
            if kept:
                self.is_well(case, number, raw)
        if not kept:
            with self.connect(case, "shop") as raw:
                self.is_well(case, number, raw)

    def ask_on(self, raw, number, case):
        said = case.get("gateway", {})
        if said.get("at") in self.gateways:
            self.gateways[said["at"]].answer_with(said.get("says", []), said.get("then", "close"))
        request_id = f"bad-{self.stem}-{number}"
        method, data = request_of(case, request_id)
        raw.send(data)
        answer = raw.answer(method)
        check(answer is not None, "there is no answer")
        self.judge(case, answer)
        if "raw" not in case and "Request-Id" not in case.get("headers", {}):
            equal(answer.header("Request-Id"), request_id, "request id")
        if case.get("kept", True):
            equal(answer.header("Connection"), "keep-alive", "what is to become of the connection")
        else:
            check(raw.ended(), "the connection is closed, in order")

    def judge(self, case, answer):
        if "code" in case:
            problem(answer, case["status"], case["code"])
            equal(answer.json.get("field"), case.get("field"), "field")
            check(case.get("detail", "") in answer.json.get("detail", ""), f"detail: {answer!r}")
        equal(answer.status, case["status"], f"status of {answer!r}")
        if "results" in case:
            found = [" ".join(filter(None, (one.get("code", "ok"), one.get("field"))))
                     for one in answer.json["results"]]
            equal(found, case["results"], "results")
        heads = str(answer.headers).encode()
        check(MARK.encode() not in heads + answer.body, f"the input in {answer!r}")
        check(not cards_in(heads + b"\n" + answer.body), f"a card in {answer!r}")
        if "outcome" in case:
            said = [answer.header(f"Cardkeep-{name}") for name in
                    ("Outcome", "Safe-To-Retry", "Failed")]
            equal(" ".join(filter(None, said)), case["outcome"], "outcome")
        equal(self.received(case), case.get("sent", 0), "requests at the gateway")

    def ask_by_frames(self, number, case):
        """Over HTTP/2, where the answer's code and field must be the same."""
        who = case.get("as", "shop")
        with raw_h2.Connection(self.system.ports[case.get("listener", case["to"])],
                               self.world.context(who)) as connection:
            connection.send(frames_of(case, f"bad-{self.stem}-h2-{number}")[1])
            status, body = connection.answer(1)
            equal(status, case["status"], f"status of {body!r}, {connection.resets}")
        if "code" in case:
            found = json.loads(body)
            equal((found["code"], found.get("field")), (case["code"], case.get("field")), "problem")
        check(MARK.encode() not in body and not cards_in(body), f"the input in {body!r}")
        equal(self.received(case), 0, "requests at the gateway")

    def received(self, case):
        """How many requests the case's gateway got; no other may have got any."""
        found = self.sandbox.get("/sandbox/requests", shows_cards=True).json["requests"]
        if "gateway" not in case:
            if found:
                self.system.forget_received()
            return len(found)
        equal(found, [], "what another gateway got")
        asked = self.gateways.get(case["gateway"]["at"])
        return asked.received if asked else 0

    def run_by_frames(self):
        """All that is not about HTTP/1.1's own framing and sends nothing, once more."""
        self.system.forget_received()
        failures = []
        for number, case in enumerate(self.cases):
            if "raw" in case or "sent" in case or case.get("path") == "*" or \
                    case.get("method") == "CONNECT":
                continue
            try:
                self.ask_by_frames(number, self.world.fill(case))
            except (AssertionError, OSError, ValueError) as failure:
                failures.append(f"{case['name']}: {type(failure).__name__}: {failure}")
        check(not failures, f"{len(failures)} of {len(self.cases)}:\n" + "\n".join(failures))

    def run(self):
        filled = [self.world.fill(case) for case in self.cases]  # May make tokens, and pay.
        self.system.forget_received()
        starts = {daemon: self.system.audit_size(daemon) for daemon in ("vault", "relay")}
        failures = []
        for number, case in enumerate(filled):
            try:
                self.ask(number, case)
            except (AssertionError, OSError, ValueError) as failure:
                failures.append(f"{case['name']}: {type(failure).__name__}: {failure}")
                self.system.forget_received()
        for daemon, start in starts.items():
            failures += self.traces(daemon, start)
        check(not failures, f"{len(failures)} of {len(self.cases)}:\n" + "\n".join(failures))

    def traces(self, daemon, start):
        """What the record and the log say of these cases."""
        wanted = {f"bad-{self.stem}-{number}": case for number, case in enumerate(self.cases)
                  if case["to"] == daemon}
        failures = []
        for entry in self.system.audit(daemon, start):
            case = wanted.get(entry.get("request_id"))
            if case is not None and entry["outcome"] not in outcomes_of(case):
                failures.append(f"{case['name']}: its entry says {entry['outcome']}")
            if case is None and entry["event"] in MAKES and entry["outcome"] == "ok":
                failures.append(f"an entry of nobody's: {entry}")
            if MARK in json.dumps(entry):
                failures.append(f"the input in an entry: {entry}")
        if MARK in self.system.log(daemon):
            failures.append(f"the input in the {daemon}'s log")
        return failures
