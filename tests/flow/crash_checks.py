# SPDX-License-Identifier: Apache-2.0
"""What must hold after a crash: every promise, both logs, the gateway's record, the host itself."""
import json
import os
import random
from collections import Counter, defaultdict

from crash_load import Promises, caller, want
from harness import check, equal, together, wait_until

OLDER = 24                    # Of what earlier rounds promised, looked at again.
AT_END = 1000                 # Of what can be repeated; of tokens, all.
# Two write-ahead logs of 64 MiB and what is merged; and what each round's load is kept in.
STORE_BYTES_MAX = (192 << 20, 1 << 20)
STORE_FILES_MAX = (150, 3)     # And so many more for each start: small tables of what a log held.
DESCRIPTORS_OPEN_MAX = 700    # Of a process with a store.
DESCRIPTORS_MAX = 24          # A supervisor's.
VERIFY_EVERY = (5, 25)        # Rounds: reading all of a log makes it longer; a long one, later.
LONG_ENTRIES = 40000
FAMILY = {"vault": 4, "relay": 3}
PROCESSES = {"vault": {"vault", "front", "keeper", "signer"}, "relay": {"relay", "signer"}}


class Books:
    """The two logs as far as they were read, and the promises they must agree with."""

    def __init__(self, system, seed):
        self.system = system
        self.seed = seed
        self.random = random.Random(f"{seed}/books")
        self.promises = Promises()
        self.keeper = 0               # Counts the keepers: a code lives as long as its own.
        self.rounds = 0
        self.read = {"vault": 0, "relay": 0}   # Entries,
        self.heard = {"vault": 0, "relay": 0}  # and bytes of what they said.
        self.tokenized = Counter()    # From the vault's log: token,
        self.deleted = Counter()      # token,
        self.leased = Counter()       # submission,
        self.settled = defaultdict(list)  # submission: outcomes.
        self.intents = {}             # From the relay's log: submission: Request-Id,
        self.intended = set()         # the idempotency keys in those,
        self.outcomes = defaultdict(list)  # submission: outcomes.
        self.sent = Counter()         # From the gateway: idempotency key.
        self.payments = []            # Earlier ones with what they must say for ever.
        self.singles = []             # Of this round, with tokens for a single use.
        self.gone = []
        self.new_gone = []            # In this round.
        self.new_tokens = []
        self.figures = Counter()
        self.vault = None
        self.relay = None
        self.lessee = None

    def __str__(self):
        promises = self.promises
        return (f"{promises.acknowledged} acknowledged, {promises.lost} without an answer, "
                f"{promises.refused} refused; {len(promises.cards)} tokens, {len(self.gone)} "
                f"deleted, {len(promises.repeats)} repeatable, {sum(self.sent.values())} at the "
                f"gateway, {self.figures['in_doubt']} in doubt, {self.figures['unheard']} made "
                f"unheard; logs of {self.read['vault']} and {self.read['relay']} entries")

    # ---- Once a round ----

    def check(self):
        self.rounds += 1
        self.call()
        try:
            self.wait_quiet()
            self.sent_before_repeats()
            self.repeats()
            self.deletions()
            self.pay_again()
            self.lost_leases()
            self.wait_quiet()
            self.single_uses()
            self.match(self.read_logs())
            fresh, self.promises.fresh = self.promises.fresh, []
            cards = self.promises.cards
            self.open(set(token for token in fresh if token in cards) |
                      set(self.some(list(cards))))
            self.codes()
            self.host()
            self.complaints()
            if self.rounds % VERIFY_EVERY[self.read["vault"] > LONG_ENTRIES] == 0:
                self.verify()
        finally:
            for one in (self.vault, self.relay, self.lessee):
                one.close()

    def check_all(self):
        """At the end: not a sample of the tokens, but all of them."""
        self.call()
        self.open(set(self.promises.cards))
        for token in self.gone:
            self.is_gone(token)
        for key in self.some(list(self.promises.repeats), AT_END):
            self.repeat(key)
        for one, heard in self.some(self.payments, AT_END):
            self.same_again(one, heard)
        self.read_logs()
        self.match(set(self.leased) | set(self.intents) | set(self.outcomes))
        self.verify()

    def call(self):
        self.vault = caller(self.system, "vault")
        self.relay = caller(self.system, "relay")
        self.lessee = caller(self.system, "vault", "relay")

    def some(self, many, count=OLDER):
        return self.random.sample(many, min(count, len(many)))

    def gauge(self, name):
        text = self.system.metrics("relay", "/metrics").body.decode()
        return int(next(line.split()[1] for line in text.splitlines()
                        if line.startswith(f"cardkeep_relay_{name} ")))

    def wait_quiet(self):
        wait_until(lambda: self.gauge("submissions") == 0 and self.gauge("settlements") == 0,
                   "nothing is under way, and the vault knows every outcome")

    # ---- Cards ----

    def repeat(self, key):
        """A repeat gets the tokens that the first got."""
        path, body, tokens = self.promises.repeats[key]
        equal(self.tokens_of(path, body, key), tokens, f"repeat of {key}")

    def tokens_of(self, path, body, key):
        answer = self.vault.post(path, body, headers={"Idempotency-Key": key})
        check(answer.status in (200, 201), f"repeat of {key}: {answer!r}")
        results = answer.json.get("results", [answer.json])
        equal(len(results), len(body.get("cards", [body])), f"cards of {key}")
        return [one.get("token") for one in results]

    def repeats(self):
        """What was never answered gets one answer from now on; a batch is whole or absent."""
        promises = self.promises
        for key, (path, body) in promises.open.items():
            tokens = self.tokens_of(path, body, key)
            check(all(tokens), f"{key} is whole: {tokens}")
            promises.repeats[key] = (path, body, tokens)
            for token, card in zip(tokens, body.get("cards", [body])):
                promises.keep(token, card)
            self.repeat(key)
        promises.open.clear()
        deleted = set(self.gone) | set(promises.gone) | set(promises.asked_gone)
        for key in self.some(list(promises.repeats), 12):
            if not deleted.intersection(promises.repeats[key][2]):
                self.repeat(key)

    def is_gone(self, token):
        answer = self.vault.get(f"/v1/tokens/{token}")
        equal((answer.status, answer.json.get("code")), (410, "erased"), f"the deleted {token}")

    def deletions(self):
        promises = self.promises
        for token, card in promises.asked_gone.items():
            answer = self.vault.get(f"/v1/tokens/{token}")
            check(answer.status in (200, 410), f"{token}, perhaps deleted: {answer!r}")
            if answer.status == 200:
                promises.cards[token] = card
            else:
                promises.gone.append(token)
        promises.asked_gone.clear()
        self.gone += promises.gone
        self.new_gone = list(promises.gone)
        for token in promises.gone + self.some(self.gone, 4):
            self.is_gone(token)
        for key, (_, _, tokens) in list(promises.repeats.items()):
            if set(promises.gone).intersection(tokens):
                del promises.repeats[key]  # Its repeat says so; 10_tokenize.py looks at that.
        promises.gone.clear()

    def lease(self, wants):
        answer = self.lessee.post("/v1/leases", {"leases": wants}, shows_cards=True)
        equal(answer.status, 200, f"leasing: {answer.status}")
        return answer.json["results"]

    def settle(self, leases, outcome="not_sent"):
        answer = self.lessee.post("/v1/settlements", {"settlements": [
            {"lease_id": one["lease_id"], "outcome": outcome} for one in leases]})
        equal(answer.status, 200, f"settling: {answer!r}")
        for one in answer.json["results"]:
            equal(one.get("state"), "settled", f"settling: {one}")

    def borrow(self, tokens, cvvs=()):
        """An order of our own that the books know of."""
        name = self.promises.name("sub_own")
        self.promises.leases[name] = "not_sent"
        return want(name, tokens, cvvs)

    def open(self, tokens):
        """Each opens to its very card."""
        tokens = sorted(tokens)
        for at in range(0, len(tokens), 8 * 32):
            some = tokens[at:at + 8 * 32]
            wants = [self.borrow(some[i:i + 8]) for i in range(0, len(some), 8)]
            leases = self.lease(wants)
            for order, lease in zip(wants, leases):
                check("cards" in lease, f"a lease of {order['tokens']}: {lease}")
                equal(lease["cards"], [{"token": token, **self.promises.cards[token]}
                                       for token in order["tokens"]], "the cards")
            self.settle(leases)

    def codes(self):
        """A code lives as long as its keeper, and no other death touches it."""
        promises = self.promises
        codes = self.some(promises.codes, 8)
        for token, card, value, keeper in codes:
            if card not in promises.cards:
                continue
            order = self.borrow([card], [token])
            lease, = self.lease([order])
            if keeper != self.keeper:
                del promises.leases[order["submission_id"]]
                equal(lease.get("code"), "cvv_lost", f"a code of another keeper: {lease}")
            else:
                equal(lease.get("cvvs"), [{"token": token, "value": value}], "the code")
                self.settle([lease])
        promises.codes = [one for one in promises.codes if one[3] == self.keeper][-200:]

    def lost_leases(self):
        """Those of ours whose answer, or whose settlement's, never came are ended by submission."""
        lost = [name for name, outcome in self.promises.leases.items() if outcome is None]
        for at in range(0, len(lost), 64):
            answer = self.lessee.post("/v1/settlements", {"settlements": [
                {"submission_id": name, "outcome": "not_sent"} for name in lost[at:at + 64]]})
            equal(answer.status, 200, f"settling: {answer!r}")
            for name, one in zip(lost[at:at + 64], answer.json["results"]):
                # Where it had an end that was not heard, it keeps that.
                check(one.get("state") == "settled" or one["code"] == "state_conflict", f"{one}")
                self.promises.leases[name] = "not_sent" if "state" in one else "any"

    # ---- Payments ----

    def gateway(self):
        """Idempotency keys in what it received since it was last asked."""
        found = Counter()
        for one in self.system.received():
            heads = {name.lower(): value for name, value in one["headers"]}
            found[heads["idempotency-key"]] += 1
        self.system.forget_received()
        self.sent.update(found)
        for key in found:
            equal(self.sent[key], 1, f"calls to the gateway with {key}")
        return found

    def sent_before_repeats(self):
        sent = self.gateway()
        for one in self.promises.payments:
            if one.answer is None:
                continue
            outcome = one.outcome
            check(outcome in ("answered", "sent_no_answer", "not_sent"), f"{one.answer!r}")
            equal(sent[one.key], 0 if outcome == "not_sent" else 1,
                  f"calls to the gateway for {one.key}, which is {outcome}: {one.answer!r}")

    def pay_again(self):
        """Each is asked for again until it says something that can be held against it."""
        for one in self.promises.payments:
            before = one.answer
            sent = self.sent[one.key]
            answer = one.ask(self.relay)
            if before is not None and before.header("Cardkeep-Outcome") == "answered":
                equal((answer.status, answer.body, answer.header("Idempotency-Replayed")),
                      (before.status, before.body, "true"), f"repeat of {one.key}")
            elif before is not None and before.header("Cardkeep-Outcome") == "sent_no_answer":
                self.is_in_doubt(one.key, answer)
            elif sent > 0:
                check(answer.header("Idempotency-Replayed") == "true" or
                      answer.json["code"] == "in_doubt", f"{one.key} was sent: {answer!r}")
            elif before is not None and before.header("Cardkeep-Outcome") == "not_sent":
                self.may_be_tried_again(one, answer)
            if one.outcome != "not_sent":
                self.same_again(one, (answer.status, answer.body, one.outcome))
                self.payments.append((one, (answer.status, answer.body, one.outcome)))
                self.figures["in_doubt"] += one.outcome == "sent_no_answer"
            if sent > 0 and before is None:
                self.figures["unheard"] += 1
            if one.once:
                self.singles.append(one)
        self.promises.payments.clear()
        for one, heard in self.some(self.payments, 6):
            self.same_again(one, heard)
        self.gateway()

    def single_uses(self):
        """Used where the gateway has it, free where it has not; in doubt either may be."""
        for one in self.singles:
            order = self.borrow([one.token])
            lease, = self.lease([order])
            if "cards" in lease:
                equal(self.sent[one.key], 0, f"calls to the gateway for {one.key}, whose token is "
                      f"free while it is {one.outcome}")
                self.settle([lease])
            else:
                del self.promises.leases[order["submission_id"]]
                check(lease["code"] == "token_consumed" and one.outcome != "not_sent",
                      f"the token of {one.key}, which is {one.outcome}: {lease}")
        self.singles.clear()

    def may_be_tried_again(self, one, answer):
        """Nothing was sent, so that it can be: nor is its code used, while its keeper lives."""
        lives = one.cvv is None or one.cvv[2] == self.keeper
        if not lives:
            equal(answer.json.get("code"), "cvv_lost", f"the repeat of {one.key}: {answer!r}")
        else:
            equal(one.outcome, "answered", f"the repeat of {one.key}: {answer!r}")

    def is_in_doubt(self, key, answer):
        equal((answer.status, answer.json.get("code"), answer.header("Cardkeep-Outcome"),
               answer.header("Cardkeep-Safe-To-Retry")),
              (409, "in_doubt", "sent_no_answer", "false"), f"the repeat of {key}: {answer!r}")

    def same_again(self, one, heard):
        """One answer for ever."""
        status, body, outcome = heard
        answer = one.ask(self.relay)
        if outcome == "answered":
            equal((answer.status, answer.body, answer.header("Idempotency-Replayed")),
                  (status, body, "true"), f"repeat of {one.key}")
        else:
            self.is_in_doubt(one.key, answer)

    # ---- Logs ----

    def match(self, submissions):
        self.tokens_match()
        self.submissions_match(submissions)
        self.settlements_match(submissions)

    def read_logs(self):
        """The submissions that the new entries are about."""
        fresh = set()
        for daemon, take in (("vault", self.take_vault), ("relay", self.take_relay)):
            entries = self.system.audit(daemon, self.read[daemon])
            self.read[daemon] += len(entries)
            for one in entries:
                take(one)
                if one["event"] == "card.outcome" or one["outcome"] == "ok" and \
                        one["event"] in ("card.submit", "card.lease", "card.settle"):
                    fresh.add(one["object"])
        return fresh

    def take_vault(self, one):
        if one["outcome"] != "ok":
            return
        if one["event"] == "card.tokenize":
            for item in one.get("items") or [one]:
                self.tokenized[item["object"]] += 1
                self.new_tokens.append(item["object"])
        elif one["event"] == "card.delete":
            self.deleted[one["object"]] += 1
        elif one["event"] == "card.lease":
            self.leased[one["object"]] += 1
        elif one["event"] == "card.settle":
            self.settled[one["object"]].append(one["detail"])

    def take_relay(self, one):
        if one["event"] == "card.submit" and one["outcome"] == "ok":
            check(one["object"] not in self.intents, f"one intent of {one['object']}")
            self.intents[one["object"]] = one["request_id"]
            self.intended.add(one["request_id"].rsplit(".", 1)[0])
        elif one["event"] == "card.outcome":
            self.outcomes[one["object"]].append(one["outcome"])

    def tokens_match(self):
        """Every token has its one entry, and every entry its token."""
        cards, gone = self.promises.cards, set(self.gone)
        unheard = set()
        for token in self.promises.fresh:
            equal(self.tokenized[token], 1, f"entries of {token}")
        for token in self.new_gone:
            equal(self.deleted[token], 1, f"entries of the deletion of {token}")
        equal(len(self.deleted), len(gone), "deletions")
        for token in self.new_tokens:
            equal(self.tokenized[token], 1, f"entries of {token}")
            if token in cards or token in gone or token in self.promises.once:
                continue
            self.figures["unheard"] += 1
            answer = self.vault.get(f"/v1/tokens/{token}")
            equal(answer.status, 200, f"{token}, whose request had no answer: {answer!r}")
            lease, = self.lease([self.borrow([token])])
            card, = lease["cards"]
            self.settle([lease])
            card.pop("token")
            cards[token] = card
            unheard.add(card["cardholder_name"])
        for names in self.promises.asked.values():
            check(unheard.isdisjoint(names) or unheard >= names, f"a half of {names}: {unheard}")
            unheard -= names
        equal(unheard, set(), "cards that nobody asked for")
        self.promises.asked.clear()
        self.new_tokens, self.new_gone = [], []

    def submissions_match(self, fresh):
        """Intent, lease, outcome: one of each, in both logs."""
        ours = self.promises.leases
        for submission in fresh:
            count = self.leased[submission]
            if submission in ours:
                check(count <= 1, f"leases of {submission}: {count}")
                continue
            check(submission in self.intents, f"{submission} is in a log without its intent")
            equal(len(self.outcomes[submission]), 1, f"outcomes of {submission}")
            outcome = self.outcomes[submission][0]
            check(count == 1 or count == 0 and outcome not in ("answered", "sent_no_answer"),
                  f"leases of {submission}, which is {outcome}: {count}")
        equal(set(self.sent) - self.intended, set(), "what the gateway received without an intent")

    def settlements_match(self, fresh):
        """Every lease has one end, and it is the relay's."""
        for submission in fresh:
            if self.leased[submission] == 0:
                continue
            ends = self.settled[submission]
            equal(len(ends), 1, f"ends of {submission}: {ends}")
            if submission in self.promises.leases:
                expected = self.promises.leases[submission]
            else:
                expected = self.outcomes[submission][0]
            if expected == "in_doubt":
                expected = "sent_no_answer"
            if expected in ("answered", "not_sent", "sent_no_answer"):
                equal(ends, [expected], f"the end of {submission}")

    def verify(self):
        together(lambda: self.system.verified("vault"), lambda: self.system.verified("relay"))

    # ---- The host ----

    def complaints(self):
        """Whoever dies, nobody else calls it an error."""
        for daemon in ("vault", "relay"):
            with open(self.system.log_path(daemon), encoding="utf-8") as file:
                file.seek(self.heard[daemon])
                lines = file.readlines()
                self.heard[daemon] = file.tell()
            equal([line for line in lines if '"level":"error"' in line], [],
                  f"the {daemon} says")

    def host(self):
        """The stores stay small, and nobody is left over."""
        for daemon, names in PROCESSES.items():
            folder = self.system.path("data", daemon)
            sizes = [os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)]
            check(sum(sizes) < STORE_BYTES_MAX[0] + STORE_BYTES_MAX[1] * self.rounds,
                  f"the {daemon}'s store has {sum(sizes)} bytes")
            check(len(sizes) < STORE_FILES_MAX[0] + STORE_FILES_MAX[1] * self.rounds,
                  f"the {daemon}'s store has {len(sizes)} files")
            holder = self.system.part(daemon, "keeper" if daemon == "vault" else "relay")
            count = len(os.listdir(f"/proc/{holder}/fd"))
            check(count < DESCRIPTORS_OPEN_MAX, f"the {daemon} holds {count} descriptors")
            config = self.system.path(f"{daemon}.yaml").encode()
            wait_until(lambda daemon=daemon, names=names: set(
                self.system.family(daemon).values()) == names, f"{names} of the {daemon}")
            alive = [pid for pid in filter(str.isdigit, os.listdir("/proc"))
                     if config in command_line(pid)]
            family = self.system.family(daemon)
            equal(sorted(map(int, alive)), sorted(family), f"processes of the {daemon}")
            equal(len(family), FAMILY[daemon], f"the {daemon}'s {names}: {family}")
            first = self.system.running[daemon].pid
            count = len(os.listdir(f"/proc/{first}/fd"))
            check(count <= DESCRIPTORS_MAX, f"the {daemon}'s supervisor holds {count} descriptors")


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
