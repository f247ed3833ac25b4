# SPDX-License-Identifier: Apache-2.0
"""A whole system for tests: vault, relay and sandbox gateway as real processes, and who calls them.

Every exchange with vault and relay is recorded for 60_openapi.py, and no answer may hold a card
unless the test says that it must.
"""
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

import ports

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PATIENCE_S = 20
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

VISA = "4242424242424242"
VISA_13 = "4222222222222"
MASTERCARD = "5555555555554444"
AMEX = "378282246310005"
DINERS_14 = "36227206271667"
UNIONPAY_19 = "6205500000000000004"
DECLINED = "4000000000000002"

exchanges = []


def published():
    """The only numbers that may be in this tree."""
    numbers = []
    with open(os.path.join(ROOT, "tests/tidy/published_cards.txt"), encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if words:
                numbers.append(words[0])
    return numbers


CARDS = published()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, and not {expected!r}")


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"after {patience_s} s still not so: {what}")
        time.sleep(0.02)


def cards_in(data):
    """Known card numbers in bytes, as digits, grouped, or in UTF-16."""
    plain = data.replace(b"\0", b"")
    joined = re.sub(rb"(?<=\d)[ -](?=\d)", b"", plain)
    return [card for card in CARDS if card.encode() in plain or card.encode() in joined]


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return self.headers.get(name)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Caller:
    """One principal's connection to one port; one thread at a time."""

    def __init__(self, port, context, daemon):
        self.port = port
        self.context = context
        self.daemon = daemon  # "vault" or "relay": recorded; "": not ours.
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def connect(self):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.port,
                                                          context=self.context, timeout=70)
            self.connection.connect()
        return self.connection

    def exchange(self, method, path, body, headers):
        """A connection that the server closed while it was idle is opened again, once."""
        reused = self.connection is not None
        try:
            self.connect().request(method, path, body=body, headers=headers)
            raw = self.connection.getresponse()
            return Answer(raw.status, raw.headers, raw.read())
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if not reused:
                raise
            self.connect().request(method, path, body=body, headers=headers)
            raw = self.connection.getresponse()
            return Answer(raw.status, raw.headers, raw.read())
        except BaseException:
            self.close()
            raise

    def request(self, method, path, body=None, headers=None, shows_cards=False):
        """`body`: bytes as they are, a list of pairs as a form, anything else as JSON."""
        headers = dict(headers or {})
        if isinstance(body, list):
            headers.setdefault("Content-Type", FORM)
            body = urllib.parse.urlencode(body).encode()
        elif body is not None and not isinstance(body, bytes):
            headers.setdefault("Content-Type", JSON)
            body = json.dumps(body).encode()
        answer = self.exchange(method, path, body, headers)
        if self.daemon:
            exchanges.append((self.daemon, self.port, method, path, body, headers, answer))
        if not shows_cards:
            heads = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
            check(not cards_in(heads.encode() + b"\n" + answer.body),
                  f"a card in the answer to {method} {path}: {answer.status}")
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)


def problem(answer, status, code, field=None):
    """The answer is this problem, and has every member that a problem has."""
    equal((answer.status, answer.json.get("code")), (status, code), f"problem of {answer!r}")
    found = answer.json
    equal(answer.header("Content-Type"), "application/problem+json", "content type")
    equal(found["type"], f"urn:cardkeep:error:{code}", "type")
    equal(found["status"], status, "status in the body")
    equal(found["request_id"], answer.header("Request-Id"), "request id")
    check(found["title"].endswith("."), "the title is a sentence")
    if answer.header("Server") == "cardkeep-relay":
        # Stripe's library takes what has no "error" for a payment, whatever the status.
        said = " ".join(found[name] for name in ("title", "detail") if name in found)
        equal(found["error"], {"type": "cardkeep_error", "code": code, "message": said},
              "where a gateway's library looks")
    if field is not None:
        equal(found.get("field"), field, "field")
    return found


def outcome(answer, expected, retry, by=None):
    """What the relay says became of the request."""
    equal(answer.header("Cardkeep-Outcome"), expected, f"outcome of {answer!r}")
    equal(answer.header("Cardkeep-Safe-To-Retry"), "true" if retry else "false", "safe to retry")
    equal(answer.header("Cardkeep-Failed"), by, "who failed")
    check(re.fullmatch(r"sub_\w+", answer.header("Cardkeep-Submission") or ""), "submission id")


def parents():
    """{pid: (parent, name)} of every process."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        found[int(pid)] = (int(text[text.rindex(")") + 2:].split()[1]), name)
    return found


class System:
    """Made whole in its own folder; `with System(build) as system`."""

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.folder = os.path.join(tempfile.mkdtemp(prefix="cardkeep-flow-"), "dev")
        base = ports.take(7)
        self.ports = dict(zip(("vault", "relay", "sandbox", "sandbox_listen", "stripe_listen",
                               "vault_metrics", "relay_metrics"), range(base, base + 7)))
        self.running = {}
        self.contexts = {}
        self.environment = None  # As this process has it.
        done = self.cardkeep("dev", "init", "--ports", str(base), self.folder, config=False)
        equal(done.returncode, 0, f"dev init: {done.stderr}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.running):
            self.kill(name)
        shutil.rmtree(os.path.dirname(self.folder))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def edit(self, name, old, new):
        """Changes a file of the configuration; what is to be changed must be there."""
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        check(old in text, f"{old!r} is not in {name}")
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    # ---- Processes ----

    def command(self, name):
        binary = os.path.join(self.build, f"cardkeep-{name}")
        if name == "sandbox":
            return [binary, "--address", f"127.0.0.1:{self.ports['sandbox']}", "--certificate",
                    self.path("tls/sandbox.pem"), "--key", self.path("tls/sandbox.key")]
        return [binary, "--config", self.path(f"{name}.yaml")]

    def spawn(self, name):
        with open(self.log_path(name), "ab") as log:
            self.running[name] = subprocess.Popen(self.command(name), stdin=subprocess.DEVNULL,
                                                  stdout=log, stderr=log,
                                                  env=self.environment)

    def log_path(self, name):
        return self.path(f"{name}.log")

    def log(self, name):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self, *names):
        for name in names or ("sandbox", "vault", "relay"):
            self.spawn(name)
        for name in names or ("sandbox", "vault", "relay"):
            self.wait_ready(name)

    def is_ready(self, name):
        try:
            if name == "sandbox":
                return self.gateway().get("/sandbox/requests", shows_cards=True).status == 200
            return self.metrics(name, "/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self, name):
        def ready():
            code = self.running[name].poll()
            check(code is None, f"the {name} ended with {code}:\n{self.log(name)[-2000:]}")
            return self.is_ready(name)
        wait_until(ready, f"the {name} is ready; it said:\n{self.log(name)[-2000:]}")

    def metrics(self, name, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[f"{name}_metrics"],
                                                timeout=10)
        try:
            connection.request("GET", path)
            raw = connection.getresponse()
            return Answer(raw.status, raw.headers, raw.read())
        finally:
            connection.close()

    def end(self, name, how):
        process = self.running.pop(name)
        process.send_signal(how)
        try:
            return process.wait(PATIENCE_S + 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the {name} did not leave:\n{self.log(name)[-2000:]}") from None

    def stop(self, name):
        """In good order; anything else than exit code 0 is a failure."""
        code = self.end(name, signal.SIGTERM)
        equal(code, 0, f"exit code of the {name}; it said:\n{self.log(name)[-2000:]}\n")

    def kill(self, name):
        """kill -9, its children included: what a loss of power leaves."""
        children = [pid for pid in self.family(name) if pid != self.running[name].pid]
        self.end(name, signal.SIGKILL)
        wait_until(lambda: not any(pid in parents() for pid in children),
                   f"the {name}'s processes are gone")

    def family(self, name):
        """{pid: name} of a daemon's processes, the supervisor among them."""
        first = self.running[name].pid
        table = parents()
        found = {first: name}
        for pid, (parent, own_name) in table.items():
            if parent == first:
                found[pid] = own_name
        return found

    def part(self, daemon, name):
        """The process id of a daemon's part: front, keeper, signer, relay."""
        for pid, own_name in self.family(daemon).items():
            if own_name == name and pid != self.running[daemon].pid:
                return pid
        return None

    def kill_part(self, daemon, name):
        pid = self.part(daemon, name)
        check(pid is not None, f"the {daemon} has no process {name}: {self.family(daemon)}")
        os.kill(pid, signal.SIGKILL)
        return pid

    # ---- Callers ----

    def context(self, who):
        """TLS as this principal; None shows no certificate."""
        if who not in self.contexts:
            context = ssl.create_default_context(cafile=self.path("tls/ca.pem"))
            if who is not None:
                name = "relay/relay-client" if who == "relay" else who
                context.load_cert_chain(self.path(f"tls/{name}.pem"),
                                        self.path(f"tls/{name}.key"))
            self.contexts[who] = context
        return self.contexts[who]

    def vault(self, who="shop"):
        return Caller(self.ports["vault"], self.context(who), "vault")

    def relay(self, who="shop", listener="relay"):
        return Caller(self.ports[listener], self.context(who), "relay")

    def gateway(self):
        return Caller(self.ports["sandbox"], self.context(None), "")

    def received(self):
        """What the gateway got: raw bodies, headers as the sandbox masks them."""
        return self.gateway().get("/sandbox/requests?reveal=1", shows_cards=True).json["requests"]

    def forget_received(self):
        equal(self.gateway().delete("/sandbox/requests").status, 204, "forgetting")

    # ---- What tests do all the time ----

    def token(self, number=VISA, who="shop", **more):
        """A token's view; with cvv= its CVV token is in it."""
        body = {"number": number, "exp_month": 12, "exp_year": 2031, **more}
        answer = self.vault(who).post("/v1/tokens", body)
        equal(answer.status, 201, f"tokenizing: {answer!r}")
        return answer.json

    def cardkeep(self, *arguments, config=True, text=None):
        command = [os.path.join(self.build, "cardkeep"), *arguments]
        if config:
            command += ["--config", self.path("cli.yaml")]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120,
                              check=False)

    def check_config(self, daemon):
        """What a daemon says of its configuration without starting."""
        return subprocess.run([os.path.join(self.build, f"cardkeep-{daemon}"), "--config",
                               self.path(f"{daemon}.yaml"), "--check"], capture_output=True,
                              text=True, timeout=60, check=False)

    def audit(self, daemon="vault", start=0):
        """Every entry from `start` on, as the auditor reads them."""
        caller = (self.vault if daemon == "vault" else self.relay)("auditor")
        entries = []
        while True:
            answer = caller.get(f"/v1/audit/entries?start={start + len(entries)}&limit=256")
            equal(answer.status, 200, f"reading the log: {answer!r}")
            page = answer.json
            entries += [json.loads(text) for text in page["entries"]]
            # The last page's own entry comes after what it shows.
            if not page["entries"] or start + len(entries) >= page["size"]:
                return entries

    def audit_size(self, daemon="vault"):
        caller = (self.vault if daemon == "vault" else self.relay)("auditor")
        answer = caller.get("/v1/audit/entries?start=0&limit=1")
        equal(answer.status, 200, f"reading the log: {answer!r}")
        return answer.json["size"]

    def verified(self, daemon):
        """A good verdict over the running daemon, once all entries of this moment are signed."""
        size = self.audit_size(daemon)

        def verdict():
            done = self.cardkeep("audit", "verify", "--json",
                                 *(["--relay"] if daemon == "relay" else []))
            if "no signed checkpoint" in done.stdout:
                return None  # It has run for less than a second.
            equal(done.returncode, 0, f"{daemon}: {done.stdout}{done.stderr}")
            found = json.loads(done.stdout)
            return found if found["signed_entries"] >= size else None
        # A long log takes a while to read.
        return wait_until(verdict, f"the {daemon}'s entries are signed", PATIENCE_S + size // 10000)

    def verify_store(self, daemon):
        return self.cardkeep("audit", "verify", "--store", self.path("data", daemon), "--verifier",
                             self.path(f"keys/{daemon}-signer.pub"), config=False)

    def cards_on_disk(self):
        found = []  # Files of the system that hold a card number, whatever wrote them.
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    if cards_in(file.read()):
                        found.append(os.path.join(folder, name))
        return found


def payment(token, cvv=None, **more):
    """A Stripe-shaped payment with tokens where the card goes, as a form."""
    fields = [("amount", "1999"), ("currency", "eur"), ("confirm", "true"),
              ("payment_method_data[type]", "card"),
              ("payment_method_data[card][number]", token),
              ("payment_method_data[card][exp_month]", token),
              ("payment_method_data[card][exp_year]", token)]
    if cvv is not None:
        fields.append(("payment_method_data[card][cvc]", cvv))
    return fields + [(name, value) for name, value in more.items()]


KEY = {"Authorization": "Bearer sk_test_flow"}


def pay(system, token, cvv=None, behaviour=None, who="shop", headers=None, **more):
    """Through the relay to the sandbox, on a connection of its own."""
    headers = {**KEY, **(headers or {})}
    if behaviour is not None:
        headers["Sandbox-Behaviour"] = behaviour
    caller = system.relay(who)
    try:
        return caller.post("/sandbox/v1/payment_intents", payment(token, cvv, **more),
                           headers=headers)
    finally:
        caller.close()


def together(*works):
    """Runs them at one time; their results in order, and the first failure raised."""
    results = [None] * len(works)
    failures = []

    def run(index):
        try:
            results[index] = works[index]()
        except BaseException as failure:  # pylint: disable=broad-except
            failures.append(failure)
    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
