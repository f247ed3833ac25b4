# SPDX-License-Identifier: Apache-2.0
"""What is left of a card at the vault, once its request is over: nothing, however it came in and
however it ended.  scan.py looks; both daemons log as much as they can.
"""
import base64
import json
import os
import subprocess
import sys

import raw_h2
from harness import CARDS, check, equal, together, wait_until
from rounds import rounds
from scan import PART, Watch, drawn_card, drawn_text, may_look, shapes
from wire import Http2, Wire, request

SOAK = True
TOKENS = "/v1/tokens"
BATCH = "/v1/tokens/batch"


def prepare(system):
    for daemon in ("vault", "relay"):
        system.edit(f"{daemon}.yaml", "log: {level: info}", "log: {level: debug}")


def _ask(system, path, body, who="shop", **headers):
    """The same over HTTP/1.1 and HTTP/2; both statuses, and the connections, still open."""
    one, two = Wire(system, who), Http2(system, who)
    one.send(request("POST", path, body, **headers))
    return [one.answer(), two.ask("POST", path, body, **headers)], (one, two)


def _close(wires):
    for wire in wires:
        (wire.wire if isinstance(wire, Http2) else wire).close()


def _batch(*bodies):
    return b'{"cards": [' + b", ".join(bodies) + b"]}"


def the_search_finds_every_shape_in_a_process_and_in_a_file(system):
    number = drawn_card()
    spaced = "-".join(number[at:at + 4] for at in range(0, 16, 4))
    samples = {
        "digits": [number.encode(), number[:PART].encode(), number[PART:].encode()],
        "grouped": [spaced.encode(), spaced.replace("-", " ").encode(), spaced[:11].encode()],
        "UTF-16": [number.encode("utf-16-le"), number.encode("utf-16-be")],
        "UTF-32": [number.encode("utf-32-le")],
        "JSON escapes": ["".join(f"\\u{ord(digit):04x}" for digit in number).encode()],
        "percent-encoding": ["".join(f"%{ord(digit):x}" for digit in number[:PART]).encode()],
        "hex": [number.encode().hex().encode()],
        "hex in groups": [number.encode().hex(" ").encode()],
        "base64": [base64.b64encode(before + number.encode() + b'"}') for before in (b"", b"=",
                                                                                    b"n=")],
        "packed decimal": [bytes.fromhex(number), bytes.fromhex("f" + number + "0"),
                           bytes.fromhex("".join(number[at + 1] + number[at]
                                                 for at in range(0, 16, 2)))],
        "digit values": [bytes(int(digit) for digit in number)],
        "an integer": [int(number).to_bytes(8, "little"), int(number).to_bytes(8, "big")]}
    equal(set(samples), set(shapes(number).values()), "every shape is tried")
    path = system.path("sample")
    for shape, several in samples.items():
        for sample in several:
            watch = Watch(system)
            watch.processes = lambda: {}
            watch.number("a sample", number)
            with open(path, "wb") as file:
                file.write(b"x" * 4093 + sample)
            found = watch.search()
            os.remove(path)
            check(len(found) == 1 and f"as {shape}, " in found[0], f"{shape}: {found}")
    child = subprocess.Popen([sys.executable, "-c", "import sys; kept = sys.stdin.buffer.read(16); "
                              "print(1, flush=True); sys.stdin.read()"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        child.stdin.write(number.encode())
        child.stdin.flush()
        child.stdout.readline()
        watch.processes = lambda: {child.pid: "a child"}
        check(any("as digits" in one for one in watch.search()), "in a process")
    finally:
        child.kill()
        child.communicate()


def the_search_takes_what_a_program_was_shipped_with_for_no_card(system):
    """A library's table of numbers, on a page that was written to: but not what was written."""
    number = drawn_card()
    watch = Watch(system)
    watch.number("a sample", number)
    text = ("import mmap, sys\n"
            "with open(sys.argv[1], 'rb') as file:\n"
            "    page = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE,"
            " mmap.PROT_READ | mmap.PROT_WRITE)\n"
            "page[0] = 1\n"
            "print(1, flush=True)\n"
            "page[1000:1016] = sys.stdin.buffer.read(16)\n"
            "print(2, flush=True)\n"
            "sys.stdin.read()")
    path = os.path.join(os.path.dirname(system.folder), "shipped")
    with open(path, "wb") as file:
        file.write(b"x" * 500 + number.encode() + b"x" * 3580)
    child = subprocess.Popen([sys.executable, "-c", text, path], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    watch.processes = lambda: {child.pid: "a child"}
    try:
        child.stdout.readline()
        equal([one for one in watch.search() if one.startswith("the a child, ")], [],
              "what the file has")
        child.stdin.write(number.encode())
        child.stdin.flush()
        child.stdout.readline()
        check(any(one.startswith("the a child, /") for one in watch.search()),
              "what was written there")
    finally:
        child.kill()
        child.communicate()


def a_card_is_gone_with_its_answer(system):
    watch = Watch(system)
    for length in (16, 13, 15, 19):
        statuses, wires = _ask(system, TOKENS, watch.body(f"a card of {length} digits", length))
        equal(statuses, [201, 201], "taken")
        watch.clean()
        _close(wires)
    watch.clean()


def a_body_in_pieces_leaves_none_of_them(system):
    """In TLS records, TCP segments and DATA frames of any size, with pauses in between."""
    watch = Watch(system)
    wires = []
    for tls13 in (True, False):
        for record, segment in ((1, None), (7, None), (None, 1), (64, 40), (None, None)):
            whose = f"a card in records of {record}, segments of {segment}, TLS 1.3 {tls13}"
            one, two = Wire(system, tls13=tls13), Http2(system, tls13=tls13)
            one.send(request("POST", TOKENS, watch.body(whose)), record, segment, 0.0005)
            two.wire.send(two.post(TOKENS, watch.body(whose + ", HTTP/2")), record, segment, 0.0005)
            equal([one.answer()] + two.answers(), [201, 201], whose)
            wires += [one, two]
    for size in (1, 5, 16, 60):
        body = watch.body(f"a card in frames of {size}")
        two = Http2(system)
        two.wire.send(two.head("POST", TOKENS))
        for frame in two.data(body, size):
            two.wire.send(frame)
        equal(two.answers(), [201], "in frames")
        wires.append(two)
    watch.clean()
    chunked = Wire(system)
    body = watch.body("a card in chunks")
    head = request("POST", TOKENS, Transfer_Encoding="chunked").replace(
        b"Content-Length: 0\r\n", b"")
    chunked.send(head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (
        body[:17], body[17:30], body[30:])) + b"0\r\n\r\n", 19)
    equal(chunked.answer(), 201, "chunked")
    watch.clean()
    _close(wires + [chunked])


def a_refused_card_is_gone_with_its_refusal(system):
    watch = Watch(system)
    wires = []

    def refused(status, whose, change=lambda body: body, path=TOKENS, who="shop", **headers):
        body = change(watch.body(whose))
        statuses, both = _ask(system, path, body, who, **headers)
        equal(statuses, [status, status], whose)
        wires.extend(both)
    refused(400, "broken JSON", lambda body: body[:-1])
    refused(400, "JSON with a tail", lambda body: body + b"x")
    refused(400, "escaped wrongly", lambda body: body.replace(b'"cvv"', b'"\\ud800"'))
    refused(400, "in no UTF-8", lambda body: body.replace(b'"cvv"', b'"\xff"'))
    refused(422, "a bad month", lambda body: body.replace(b": 12,", b": 13,"))
    refused(422, "an unknown field", lambda body: body[:-1] + b', "nickname": "x"}')
    refused(400, "the number twice", lambda body: body[:-1] + b', "number": "1"}')
    refused(422, "a wrong check digit", lambda body: body.replace(b'"9999', b'"9998', 1))
    refused(422, "a code too long", lambda body: body.replace(b'"737"', b'"73737"'))
    refused(422, "no string", lambda body: body.replace(b'"exp_year": 2031', b'"exp_year": []'))
    refused(422, "in the name", lambda body: body.replace(
        b'"cardholder_name": "', b'"cardholder_name": "' + watch.card("a name").encode()))
    refused(422, "in the metadata", lambda body: body[:-1] + b', "metadata": {"a": "%s"}}' %
            watch.card("metadata").encode())
    refused(415, "a form", Content_Type="application/x-www-form-urlencoded")
    refused(415, "no type", Content_Type=None)
    refused(403, "of no right", who="auditor")
    refused(401, "of nobody", who=None)
    refused(404, "an unknown path", path="/v1/nothing")
    refused(405, "a wrong method", path="/v1/audit/entries")
    refused(400, "a bad header", Idempotency_Key="k\u00e9")
    refused(413, "too deep", lambda body: b"[" * 300 + body)
    refused(413, "too large", lambda body: body + b" " * (1 << 20))
    key = {"Idempotency_Key": drawn_text()}
    statuses, both = _ask(system, TOKENS, watch.body("the first of a key"), **key)
    equal(statuses, [201, 201], "the first of a key, and its repetition")
    wires.extend(both)
    refused(409, "another of that key", **key)
    watch.clean()
    _close(wires)


def a_number_escaped_in_its_json_is_gone_too(system):
    watch = Watch(system)
    for shape in ("\\u%04x", "\\u%04X"):
        body = watch.body("an escaped card")
        number = json.loads(body)["number"]
        escaped = "".join(shape % ord(digit) for digit in number).encode()
        statuses, wires = _ask(system, TOKENS, body.replace(number.encode(), escaped))
        equal(statuses, [201, 201], "taken")
        watch.clean()
        _close(wires)


def a_code_that_comes_later_is_gone_as_well(system):
    watch = Watch(system)
    token = json.loads(watch.body("the card of a later code"))
    del token["cvv"], token["purchase"]
    path = f"{TOKENS}/{system.token(**token)['token']}/cvv"
    for code, expected in (("737", 201), ("73", 422)):
        purchase = drawn_text()
        body = f'{{"cvv": "{code}", "purchase": "{purchase}"}}'
        watch.text(f"the code {code}", f'"{code}", "purchase": "{purchase}')
        statuses, wires = _ask(system, path, body.encode())
        equal(statuses, [expected, expected], f"the code {code}")
        watch.clean()
        _close(wires)


def clients_that_die_leave_nothing_behind(system):
    watch = Watch(system)
    body = watch.body("a card cut off")
    for keep in range(20, len(body), 23):
        one, two = Wire(system), Http2(system)
        one.send(request("POST", TOKENS, body[:keep], size=len(body)))
        two.wire.send(two.head("POST", TOKENS) + b"".join(two.data(body[:keep], 11, end=False)))
        # Its answer says that the server has read what came before it.
        equal(two.ask("GET", TOKENS + "/x", b""), 404, "another stream")
        one.kill()
        two.wire.kill()
    for _ in range(5):
        one, two, reset = Wire(system), Http2(system), Http2(system)
        one.send(request("POST", TOKENS, watch.body("a card of who did not wait")))
        one.kill()
        two.wire.send(two.post(TOKENS, watch.body("a card of who did not wait, HTTP/2")))
        two.wire.kill()
        reset.wire.send(reset.head("POST", TOKENS) + reset.data(
            watch.body("a card taken back"), 50, end=False)[0] + reset.reset())
        equal(reset.ask("POST", TOKENS, watch.body("the next on it")), 201, "the next")
        reset.wire.send(reset.post(TOKENS, watch.body("a card taken back whole")) + reset.reset())
        equal(reset.ask("POST", TOKENS, watch.body("the next after that")), 201, "the next")
        watch.clean()
        reset.wire.kill()
    watch.clean()


def a_batch_leaves_no_card_whole_or_with_a_bad_one(system):
    watch = Watch(system)
    bodies = [watch.body(f"card {index} of a batch") for index in range(60)]
    statuses, wires = _ask(system, BATCH, _batch(*bodies))
    equal(statuses, [200, 200], "a whole batch")
    watch.clean()
    bad = [body.replace(b": 12,", b": 13,") if index % 3 == 0 else body
           for index, body in enumerate(bodies)]
    statuses, more = _ask(system, BATCH, _batch(*bad))
    equal(statuses, [200, 200], "with bad ones")
    statuses, most = _ask(system, BATCH, _batch(*bodies)[:-1])
    equal(statuses, [400, 400], "broken at its end")
    two = Http2(system)
    two.wire.send(two.head("POST", BATCH) + b"".join(two.data(_batch(*bodies), 5000, end=False)))
    equal(two.ask("GET", TOKENS + "/x", b""), 404, "it was read")
    two.wire.kill()
    watch.clean()
    _close([*wires, *more, *most])


def _lease(tokens):
    return json.dumps({"leases": [{
        "submission_id": "sub_" + drawn_text(), "destination": "sandbox", "purpose": "payment",
        "on_behalf_of": "shop", "tokens": [one["token"]],
        "cvv_tokens": [one["cvv"]["token"]]} for one in tokens]}).encode()


def a_lease_leaves_nothing_once_it_is_handed_over(system):
    """The one answer of the vault that shows cards: read, left half-read, and never read."""
    watch = Watch(system)

    def lent(whose, count=20):
        two = Http2(system)
        equal(two.ask("POST", BATCH, _batch(*[watch.body(whose) for _ in range(count)])), 200,
              "tokenizing")
        two.wire.close()
        made = json.loads(two.bodies[1])["results"]
        for one in made:
            watch.text(whose + "'s code", f'{one["cvv"]["token"]}","value":"737"')
        return _lease(made)
    one, two = Wire(system, "relay"), Http2(system, "relay")
    one.send(request("POST", "/v1/leases", lent("a card lent")))
    equal(one.answer(), 200, "leasing")
    equal(two.ask("POST", "/v1/leases", lent("a card lent over HTTP/2")), 200, "leasing")
    check(b'"737"' in two.bodies[1], "the cards were in it")
    watch.clean()
    for _ in range(3):
        left = Wire(system, "relay")
        left.send(request("POST", "/v1/leases", lent("a card nobody waited for")))
        left.kill()
        half = Http2(system, "relay", window=300)
        half.wire.send(half.post("/v1/leases", lent("a card half handed over")))
        wait_until(lambda: half.step() and len(half.bodies.get(1, b"")) >= 300, "half of it")
        half.wire.kill()
        late = Http2(system, "relay", window=300)
        late.wire.send(late.post("/v1/leases", lent("a card handed over, then reset")))
        wait_until(lambda: late.step() and len(late.bodies.get(1, b"")) >= 300, "half of it")
        late.wire.send(late.reset())
        equal(late.ask("POST", "/v1/leases", b"{}"), 422, "the connection goes on")
        watch.clean()
        late.wire.close()
    _close([one, two])


def a_client_that_people_use_leaves_nothing(system):
    """curl, which also keeps its headers in the tables of HTTP/2."""
    watch = Watch(system)
    for protocol in ("--http1.1", "--http2"):
        for header in ([], ["-H", "X-Number: " + watch.card("a card in curl's header")]):
            done = subprocess.run([
                "curl", "-sS", protocol, "-K", "-", "-o", os.devnull, "-w", "%{http_code}", *header,
                "-H", "Content-Type: application/json", "--data-binary",
                watch.body(f"a card of curl {protocol}").decode(),
                f"https://127.0.0.1:{system.ports['vault']}{TOKENS}"], text=True, check=False,
                capture_output=True, timeout=60, input="".join(
                    f'{name} = "{system.path("tls", file)}"\n' for name, file in (
                        ("cacert", "ca.pem"), ("cert", "shop.pem"), ("key", "shop.key"))))
            equal((done.stdout, done.stderr), ("201", ""), "curl")
    watch.clean()


def slow_ones_are_cut_off_and_leave_nothing(system):
    """They stop within a body; the vault's patience is ten seconds."""
    watch = Watch(system)
    wires = []
    for port in ("vault", "relay"):
        one, two = Wire(system, port=port), Http2(system, port=port)
        body = watch.body(f"a card slowly sent to the {port}")
        one.send(request("POST", TOKENS, body, size=len(body) + 9))
        two.wire.send(two.head("POST", TOKENS) + b"".join(two.data(body, 31, end=False)))
        wires += [one, two.wire]
    for wire in wires:
        wire.until_closed()
        wire.close()
    watch.clean()


def _load(system, watch, whose, count):
    """Streams of one connection, a hundred at a time, killed in the middle of the last hundred."""
    two = Http2(system)
    body = watch.body_without_code(whose)
    for _ in range(count // 100):
        streams = []
        for _ in range(100):
            two.wire.send(two.post(TOKENS, body))
            streams.append(two.stream)
        answers = two.answers(*streams)
        check(set(answers) <= {201, 503}, f"answers under load: {set(answers)}")
    for _ in range(50):
        two.wire.send(two.post(TOKENS, body))
    two.wire.send(two.head("POST", TOKENS) + two.data(body, 90, end=False)[0])
    two.wire.kill()


def _beside(watch, opened):
    for wire in opened:
        body = watch.body_without_code("a card beside the load")
        if isinstance(wire, Http2):
            check(wire.ask("POST", TOKENS, body) in (201, 503), "meanwhile, HTTP/2")
        else:
            wire.send(request("POST", TOKENS, body))
            check(wire.answer() in (201, 503), "meanwhile")


def thousands_of_cards_and_dying_clients_leave_nothing(system):
    """While other connections stay open all the time."""
    opened = [Wire(system) for _ in range(4)] + [Http2(system) for _ in range(4)]
    for turn in rounds(2):
        watch = Watch(system)
        together(*[lambda whose=f"a card of load {index}, round {turn}": _load(
            system, watch, whose, 500) for index in range(4)], lambda: _beside(watch, opened))
        watch.clean()
    _close(opened)


def a_number_where_none_belongs_leaves_nothing(system):
    """In a path, in headers: nothing stores it, answers it or keeps it.  What an HTTP/2 client has
    put into the connection's header table is there as long as the connection; see the last one."""
    watch = Watch(system)
    wires = []
    for protocol in (Wire, Http2):
        def ask(whose, method, path, body=b"", protocol=protocol, **headers):
            number = watch.card(f"{whose}, {protocol.__name__}")
            headers = {name: value + number for name, value in headers.items()}
            wire = protocol(system)
            wires.append(wire)
            if protocol is Wire:
                wire.send(request(method, path + ("" if headers else number), body, **headers))
                status = wire.answer()
            else:
                status = wire.ask(method, path + ("" if headers else number), body, **headers)
            watch.clean(1)  # Now: what keeps it may well keep the latest only.
            return status
        equal(ask("a path", "GET", TOKENS + "/"), 404, "a path")
        equal(ask("a longer path", "GET", TOKENS + "/x/"), 404, "a longer path")
        equal(ask("a path, wrong method", "PUT", TOKENS + "/"), 405, "a wrong method")
        equal(ask("a path, deleted", "DELETE", TOKENS + "/"), 404, "deleted")
        equal(ask("a query", "GET", TOKENS + "/x?number="), 422, "a query")
        equal(ask("a header", "GET", TOKENS + "/x", X_Number="n="), 404, "a header")
        equal(ask("a request id", "GET", TOKENS + "/x", Request_Id="id-"), 404, "a request id")
        equal(ask("a key", "POST", TOKENS, watch.body("beside the key"), Idempotency_Key="k-"),
              201, "an idempotency key")
        equal(ask("a type", "POST", TOKENS, watch.body("beside the type"),
                  Content_Type="text/"), 415, "a content type")
    _close(wires)
    watch.clean()
    indexed = Http2(system)
    number = watch.card("a header in the table")
    block = raw_h2.block("GET", TOKENS + "/x") + raw_h2.literal("x-number", number, keep=True)
    indexed.stream += 2
    indexed.wire.send(raw_h2.frame(raw_h2.HEADERS, raw_h2.END_HEADERS | raw_h2.END_STREAM,
                                   indexed.stream, block))
    equal(indexed.answers(), [404], "with a header to be kept")
    check(watch.search() or not may_look(), "the table of the connection has it")
    indexed.wire.close()
    watch.clean()


def a_number_where_a_token_or_a_name_belongs_leaves_nothing(system):
    """What is copied out of a body to be judged is copied, too."""
    watch = Watch(system)
    want = {"submission_id": "sub_memory", "destination": "sandbox", "purpose": "payment",
            "on_behalf_of": "shop", "tokens": ["tok_none"]}
    card = {"number": CARDS[0], "exp_month": 12, "exp_year": 2031}

    def asked(status, whose, path, who, make):
        number = watch.card(whose)
        body = json.dumps(make(number)).encode()
        statuses, wires = _ask(system, path, body, who)
        equal(statuses, [status, status], whose)
        watch.clean(1)
        _close(wires)
    for field in ("tokens", "cvv_tokens") * 2:
        asked(200, f"a lease's {field}", "/v1/leases", "relay",
              lambda number, field=field: {"leases": [{**want, field: [number]}]})
    for field in ("submission_id", "destination", "purpose", "on_behalf_of"):
        asked(200, f"a lease's {field}", "/v1/leases", "relay",
              lambda number, field=field: {"leases": [{**want, field: number}]})
    for field in ("submission_id", "lease_id"):
        asked(200, f"a settlement's {field}", "/v1/settlements", "relay",
              lambda number, field=field: {"settlements": [{field: number,
                                                            "outcome": "answered"}]})
    asked(422, "a key of metadata", TOKENS, "shop",
          lambda number: {**card, "metadata": {number: "x"}})
    asked(422, "an unknown name", TOKENS, "shop", lambda number: {**card, number: "x"})
    asked(422, "a purchase", TOKENS, "shop", lambda number: {**card, "purchase": number})
