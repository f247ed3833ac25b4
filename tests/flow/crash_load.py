# SPDX-License-Identifier: Apache-2.0
"""What 75_crash.py does while processes die: every kind of request, from several clients at once.

What was acknowledged is a promise, and noted as one; what was asked without an answer is noted too,
for it has either happened or not, and must stay what it is.
"""
import http.client
import json
import random
import threading

import harness
from harness import AMEX, DECLINED, MASTERCARD, VISA, Answer, Caller, check, payment

TROUBLE = (OSError, http.client.HTTPException, json.JSONDecodeError)
NUMBERS = (VISA, MASTERCARD, AMEX, DECLINED, harness.DINERS_14, harness.UNIONPAY_19)
BEHAVIOURS = (None, None, None, None, "slow", "close_before", "close_half", "error_500")


class OnceCaller(Caller):
    """Asks once: what a lost connection leaves open stays open.  What it does is not recorded."""

    def exchange(self, method, path, body, headers):
        try:
            self.connect().request(method, path, body=body, headers=headers)
            raw = self.connection.getresponse()
            return Answer(raw.status, raw.headers, raw.read())
        except BaseException:
            self.close()
            raise


def caller(system, daemon, who="shop"):
    return OnceCaller(system.ports[daemon], system.context(who), "")


class Payment:
    """One idempotency key, and what was last heard of it."""

    def __init__(self, key, token, cvv, once):
        self.key = key
        self.token = token
        self.cvv = cvv  # (token, value, the keeper it was given to), or None.
        self.body = payment(token, cvv[0] if cvv else None, description=key)
        self.once = once  # Its token is for a single use.
        self.answer = None
        self.asked = 0

    def ask(self, relay, behaviour=None, delay_ms=0):
        """The answer, which is also noted; raises what TROUBLE lists where there was none."""
        self.answer = None
        self.asked += 1
        headers = {**harness.KEY, "Idempotency-Key": self.key,
                   "Request-Id": f"{self.key}.{self.asked}"}
        if behaviour is not None:
            headers["Sandbox-Behaviour"] = behaviour
            headers["Sandbox-Delay-Ms"] = str(delay_ms)
        self.answer = relay.post("/sandbox/v1/payment_intents", self.body, headers=headers)
        return self.answer

    @property
    def outcome(self):
        return self.answer.header("Cardkeep-Outcome")


class Promises:
    """All that was acknowledged, and all that was asked; `with promises.lock` to change it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.cards = {}      # token: its card, as a lease shows it.
        self.once = {}       # The same of tokens for a single use.
        self.fresh = []      # Tokens since the last check.
        self.gone = []       # Deletion was acknowledged.
        self.asked_gone = {}  # Deletion was asked for: token: card.
        self.repeats = {}    # Idempotency key: (path, body, tokens).
        self.open = {}       # The same without an answer: (path, body).
        self.asked = {}      # Without a key and an answer: first holder: all of them.
        self.codes = []      # CVVs that nobody used: (token, card's token, value, keeper).
        self.payments = []   # Since the last check.
        self.leases = {}     # Submissions of our own: outcome it was settled with, or None.
        self.acknowledged = 0
        self.lost = 0        # Requests without an answer.
        self.refused = 0     # 503.
        self.count = 0

    def name(self, prefix):
        with self.lock:
            self.count += 1
            return f"{prefix}{self.count}"

    def keep(self, token, card):
        """`card` as it was sent."""
        own = {name: card[name] for name in
               ("number", "exp_month", "exp_year", "cardholder_name")}
        (self.once if card.get("single_use") else self.cards)[token] = own
        self.fresh.append(token)
        self.acknowledged += 1


class Client:
    """One thread's worth of requests."""

    def __init__(self, load, index):
        self.load = load
        self.promises = load.promises
        self.random = random.Random(f"{load.seed}/{index}")
        self.vault = caller(load.system, "vault")
        self.relay = caller(load.system, "relay")
        self.lessee = caller(load.system, "vault", "relay")
        self.mine = []  # Tokens that only this client uses.
        self.pays = index % 2 == 1

    def card(self):
        return {"number": self.random.choice(NUMBERS), "exp_month": self.random.randint(1, 12),
                "exp_year": self.random.randint(2030, 2040),
                "cardholder_name": self.promises.name("Holder ")}

    def headers(self, path, body):
        """Every second request can be repeated; until it is answered it is noted as open."""
        if self.random.random() < 0.5:
            names = [card["cardholder_name"] for card in body.get("cards", [body])]
            with self.promises.lock:
                self.promises.asked[names[0]] = set(names)
            return None, {}
        key = self.promises.name("crash-")
        with self.promises.lock:
            self.promises.open[key] = (path, body)
        return key, {"Idempotency-Key": key}

    def answered(self, key, path, body, tokens):
        with self.promises.lock:
            for token, card in zip(tokens, body.get("cards", [body])):
                self.promises.keep(token, card)
            self.promises.asked.pop(body.get("cards", [body])[0]["cardholder_name"], None)
            if key is not None:
                self.promises.repeats[key] = (path, body, tokens)
                self.promises.open.pop(key, None)
        self.mine += tokens

    def busy(self, answer, *good):
        """True where the answer is a 503; anything but that or what is good is a failure."""
        if answer.status == 503:
            with self.promises.lock:
                self.promises.refused += 1
            self.load.over.wait(0.01)
            return True
        check(answer.status in good, f"under load: {answer!r}")
        return False

    def tokenize(self, cvv=False, once=False):
        """The token, and (CVV token, value, keeper) with cvv; None where it is busy."""
        body = self.card()
        if once:
            body["single_use"] = True
        if cvv:
            body["cvv"] = "1234" if body["number"] == AMEX else f"{self.random.randint(0, 999):03}"
        keeper = self.load.keeper
        key, headers = self.headers("/v1/tokens", body)
        answer = self.vault.post("/v1/tokens", body, headers=headers)
        if self.busy(answer, 201):
            return None
        made = answer.json
        self.answered(key, "/v1/tokens", body, [made["token"]])
        code = (made["cvv"]["token"], body["cvv"], keeper) if cvv else None
        return made["token"], code

    def keep_code(self):
        made = self.tokenize(cvv=True)
        if made is not None:
            with self.promises.lock:
                self.promises.codes.append((made[1][0], made[0], *made[1][1:]))

    def batch(self):
        body = {"cards": [self.card() for _ in range(self.random.randint(2, 12))]}
        key, headers = self.headers("/v1/tokens/batch", body)
        answer = self.vault.post("/v1/tokens/batch", body, headers=headers)
        if self.busy(answer, 200):
            return
        tokens = [one.get("token") for one in answer.json["results"]]
        check(len(tokens) == len(body["cards"]) and all(tokens), f"the whole batch: {answer!r}")
        self.answered(key, "/v1/tokens/batch", body, tokens)

    def show(self):
        token = self.random.choice(self.mine)
        answer = self.vault.get(f"/v1/tokens/{token}")
        if not self.busy(answer, 200):
            card = self.promises.cards[token]
            check(answer.json["last4"] == card["number"][-4:], f"another card: {answer!r}")

    def delete(self):
        token = self.mine.pop(self.random.randrange(len(self.mine)))
        with self.promises.lock:
            self.promises.asked_gone[token] = self.promises.cards.pop(token)
        answer = self.vault.delete(f"/v1/tokens/{token}")
        if self.busy(answer, 204):
            return
        with self.promises.lock:
            del self.promises.asked_gone[token]
            self.promises.gone.append(token)

    def lease(self):
        """As the relay would, and its card compared."""
        token = self.random.choice(self.mine)
        submission = self.promises.name("sub_own")
        with self.promises.lock:
            self.promises.leases[submission] = None
        answer = self.lessee.post("/v1/leases", {"leases": [want(submission, [token])]},
                                  shows_cards=True)
        if self.busy(answer, 200):
            return
        result = answer.json["results"][0]
        check("cards" in result, f"a lease of {token}: {result}")
        check(result["cards"] == [{"token": token, **self.promises.cards[token]}],
              f"the card behind {token}")
        outcome = self.random.choice(("answered", "not_sent", "sent_no_answer"))
        answer = self.lessee.post("/v1/settlements", {"settlements": [
            {"lease_id": result["lease_id"], "outcome": outcome}]})
        if not self.busy(answer, 200):
            with self.promises.lock:
                self.promises.leases[submission] = outcome

    def pay(self):
        once = self.random.random() < 0.3
        made = self.tokenize(cvv=self.random.random() < 0.5, once=once)
        if made is None:
            return
        self.mine.remove(made[0])  # Not deleted, so that a repeat finds it.
        one = Payment(self.promises.name("crash-pay-"), *made, once)
        with self.promises.lock:
            self.promises.payments.append(one)
        one.ask(self.relay, self.random.choice(BEHAVIOURS), self.random.randint(20, 400))
        with self.promises.lock:
            self.promises.acknowledged += 1
        if one.answer.status == 503:
            self.load.over.wait(0.01)

    def step(self):
        if self.pays and self.random.random() < 0.7:
            return self.pay
        works = [self.tokenize, self.tokenize, self.batch, self.keep_code]
        if len(self.mine) > 4:
            works += [self.show, self.delete, self.lease]
        return self.random.choice(works)

    def run(self):
        try:
            while not self.load.over.is_set():
                try:
                    self.step()()
                except TROUBLE:
                    with self.promises.lock:
                        self.promises.lost += 1
                    for one in (self.vault, self.relay, self.lessee):
                        one.close()
                    self.load.over.wait(0.01)
        except BaseException as failure:  # pylint: disable=broad-except
            self.load.failures.append(failure)
        finally:
            for one in (self.vault, self.relay, self.lessee):
                one.close()


def want(submission, tokens, cvvs=()):
    return {"submission_id": submission, "destination": "sandbox", "purpose": "payment",
            "on_behalf_of": "shop", "tokens": list(tokens), "cvv_tokens": list(cvvs)}


class Load:
    """Clients that go on until told to stop; `keeper` names the one that codes are given to."""

    def __init__(self, system, promises, seed, keeper, clients=4):
        self.system = system
        self.promises = promises
        self.seed = seed
        self.keeper = keeper
        self.failures = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=Client(self, index).run)
                        for index in range(clients)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.failures:
            raise self.failures[0]
