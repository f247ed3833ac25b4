# SPDX-License-Identifier: Apache-2.0
"""Certificates are read again while both daemons work: nobody who is there notices, who comes gets
the new one, and what is no good never comes into force."""
import hashlib
import os
import re
import signal
import socket
import ssl
import threading

import issuing
import raw_h2
from harness import VISA, check, equal, outcome, pay, problem, wait_until
from rounds import rounds

SOAK = True
RELOADS = 200
DAEMONS = ("vault", "relay")


def prepare(system):
    for daemon in DAEMONS:
        system.edit(f"{daemon}.yaml", "listen:\n", "listen:\n  reload: 1s\n")
    issuing.authority(system.path("tls"), "second")


def _files(system, daemon):
    """Of its listeners: certificate, key, clients."""
    return [system.path("tls", daemon, name) for name in
            (f"{daemon}.pem", f"{daemon}.key", "clients.pem")]


def _metric(system, daemon, name, listener="api"):
    text = system.metrics(daemon, "/metrics").body.decode()
    found = re.search(rf'^cardkeep_{daemon}_tls_{name}{{listener="{listener}"}} (-?\d+)$', text,
                      re.MULTILINE)
    check(found, f"{daemon}: no {name} of {listener} in its metrics")
    return int(found.group(1))


def _shown(system, daemon):
    """The SHA-256 of the certificate that a newcomer is shown."""
    with socket.create_connection(("127.0.0.1", system.ports[daemon]), timeout=20) as raw, \
            system.context(None).wrap_socket(raw, server_hostname="localhost") as sock:
        return hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()


def _digest(path):
    return issuing.fingerprint(path).replace(":", "").lower()


def _install(system, daemon, name):
    """The pair `name` of the folder tls takes the place of the daemon's own, key first."""
    certificate, key, _ = _files(system, daemon)
    issuing.put(key, issuing.content(system.path(f"tls/{name}.key")))
    issuing.put(certificate, issuing.content(system.path(f"tls/{name}.pem")))


def _hang_up(system, daemon):
    system.running[daemon].send_signal(signal.SIGHUP)


def _reload(system, daemon, listener="api"):
    """Asks, and waits until it was done."""
    def count():
        return (_metric(system, daemon, "reloads_total", listener) +
                _metric(system, daemon, "reload_failures_total", listener))
    before = count()
    _hang_up(system, daemon)
    wait_until(lambda: count() > before, f"the {daemon} read its files again")


def who_comes_later_is_shown_the_new_one_and_who_is_there_stays(system):
    for daemon in DAEMONS:
        open_since = (system.vault if daemon == "vault" else system.relay)("auditor")
        path = "/v1/audit/entries?start=0&limit=1"
        equal(open_since.get(path).status, 200, "before")
        held = open_since.connection
        issuing.certificate(system.path("tls"), f"{daemon}-new")
        _install(system, daemon, f"{daemon}-new")
        new = _digest(_files(system, daemon)[0])
        wait_until(lambda d=daemon, n=new: _shown(system, d) == n,
                   f"the {daemon} found the new one by itself")
        equal(open_since.get(path).status, 200, "behind it")
        check(open_since.connection is held, "over the same connection")
        print_of = issuing.fingerprint(_files(system, daemon)[0])
        wait_until(lambda d=daemon, p=print_of: any(
            one["event"] == "tls.reload" and one["object"] == "api" and p in one["detail"]
            for one in system.audit(d)), f"the {daemon}'s log says which")
        check(f'"in_force":"{print_of}"' in system.log(daemon), "and so does a line")


def _ask_h1(system, daemon, stop, failures, counts):
    """One connection after another, some requests over each."""
    while not stop.is_set():
        caller = (system.vault if daemon == "vault" else system.relay)("auditor")
        try:
            caller.connect()
            held = caller.connection
            for _ in range(7):
                answer = caller.get("/v1/audit/checkpoint")
                if answer.status not in (200, 404) or caller.connection is not held:
                    failures.append(f"{daemon}, HTTP/1.1: {answer!r}")
                counts[daemon] += 1
        except OSError as failure:
            failures.append(f"{daemon}, HTTP/1.1: {failure!r}")
        finally:
            caller.close()


def _ask_h2(system, daemon, stop, failures, counts):
    made = raw_h2.context(system, "auditor")
    while not stop.is_set():
        try:
            with raw_h2.Connection(system.ports[daemon], made) as connection:
                for stream in range(1, 15, 2):
                    connection.send(raw_h2.request(stream, path="/v1/audit/checkpoint"))
                    status, body = connection.answer(stream)
                    if status not in (200, 404):
                        failures.append(f"{daemon}, HTTP/2: {status} {body[:200]!r}")
                    counts[daemon] += 1
        except OSError as failure:
            failures.append(f"{daemon}, HTTP/2: {failure!r}")


def hundreds_of_reloads_under_load_fail_no_request(system):
    for daemon in DAEMONS:
        for name in ("one", "two"):
            issuing.certificate(system.path("tls"), f"{daemon}-{name}")
    stop, failures, counts = threading.Event(), [], {"vault": 0, "relay": 0}
    threads = [threading.Thread(target=ask, args=(system, daemon, stop, failures, counts))
               for daemon in DAEMONS for ask in (_ask_h1, _ask_h1, _ask_h2, _ask_h2)]
    before = {daemon: _metric(system, daemon, "reloads_total") for daemon in DAEMONS}
    for thread in threads:
        thread.start()
    try:
        for index in rounds(RELOADS):
            for daemon in DAEMONS:
                _install(system, daemon, f"{daemon}-{('one', 'two')[index % 2]}")
                _hang_up(system, daemon)
            # Signals that come at one time are one signal: no faster than they are taken.
            if index % 10 == 9:
                for daemon in DAEMONS:
                    _reload(system, daemon)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    equal(failures[:3], [], "requests that failed")
    for daemon in DAEMONS:
        done = _metric(system, daemon, "reloads_total") - before[daemon]
        check(done >= RELOADS // 4, f"the {daemon} read its files again {done} times")
        check(counts[daemon] > 100, f"the {daemon} was asked {counts[daemon]} times meanwhile")
        _reload(system, daemon)
        equal(_shown(system, daemon), _digest(_files(system, daemon)[0]), "the last is in force")


def what_is_no_good_leaves_the_old_in_force(system):
    issuing.certificate(system.path("tls"), "late", days=-1)
    issuing.certificate(system.path("tls"), "elsewhere")
    for daemon in DAEMONS:
        certificate, key, clients = _files(system, daemon)
        whole = {path: issuing.content(path) for path in (certificate, key, clients)}
        before = _shown(system, daemon)
        other_key = issuing.content(system.path("tls/elsewhere.key"))
        cases = [({certificate: whole[certificate][:200]}, "check that it is PEM"),
                 ({certificate: b""}, "is not a usable certificate"),
                 ({certificate: b"-----BEGIN NONSENSE-----\n"}, "is not a usable certificate"),
                 ({key: other_key}, "is not the certificate's private key"),
                 ({key: whole[certificate]}, "is not the certificate's private key"),
                 ({clients: b"nobody"}, "holds no usable CA certificate"),
                 ({certificate: issuing.content(system.path("tls/late.pem")),
                   key: issuing.content(system.path("tls/late.key"))}, "has expired"),
                 ({certificate: whole[certificate] + issuing.content(
                     system.path("tls/elsewhere.pem"))}, "did not issue the one before it")]
        for wrong, sentence in cases:
            heard = len(system.log(daemon))
            for path, data in wrong.items():
                issuing.put(path, data)
            def said(daemon=daemon, heard=heard, sentence=sentence):
                _reload(system, daemon)  # Of many lines in one second the log holds some back.
                return sentence in system.log(daemon)[heard:]
            wait_until(said, f"the {daemon} says {sentence!r}")
            check("certificate_not_reloaded" in system.log(daemon)[heard:], "what became of it")
            equal(_shown(system, daemon), before, f"{sentence}: what is shown")
            equal(_metric(system, daemon, "stale"), 1, "what the metric says")
            for path, data in whole.items():
                issuing.put(path, data)
            _reload(system, daemon)
            equal(_metric(system, daemon, "stale"), 0, "mended")
        os.unlink(key)
        _reload(system, daemon)
        equal((_shown(system, daemon), _metric(system, daemon, "stale")), (before, 1),
              "without a key")
        issuing.put(key, whole[key])
        os.chmod(key, 0o600)
        wait_until(lambda d=daemon: _metric(system, d, "stale") == 0, "mended")


def a_configuration_is_checked_with_what_it_names(system):
    issuing.certificate(system.path("tls"), "late", days=-1)
    for daemon, pairs in {"vault": ["vault/vault"],
                          "relay": ["relay/relay", "relay/relay-client"]}.items():
        equal(system.check_config(daemon).returncode, 0, f"the {daemon}: all is well")
        for pair in pairs:
            certificate, key = (system.path("tls", f"{pair}.{end}") for end in ("pem", "key"))
            whole = {path: issuing.content(path) for path in (certificate, key)}
            late = {certificate: issuing.content(system.path("tls/late.pem")),
                    key: issuing.content(system.path("tls/late.key"))}
            for wrong, sentence in [({certificate: b"nonsense"}, "is not a usable certificate"),
                                    ({key: late[key]}, "is not the certificate's private key"),
                                    (late, "has expired")]:
                for path, data in wrong.items():
                    issuing.put(path, data)
                done = system.check_config(daemon)
                equal(done.returncode, 2, f"{daemon}, {sentence}: {done.stdout}")
                check(sentence in done.stderr and os.path.basename(pair) in done.stderr,
                      f"{daemon}, {sentence}: {done.stderr}")
                for path, data in whole.items():
                    issuing.put(path, data)


def a_removed_authority_is_believed_no_more(system):
    issuing.certificate(system.path("tls"), "by-second", "URI:urn:cardkeep:auditor", by="second")
    clients = _files(system, "vault")[2]
    first = issuing.content(clients)
    issuing.put(clients, first + issuing.content(system.path("tls/second.pem")))
    _reload(system, "vault")
    context = ssl.create_default_context(cafile=system.path("tls/ca.pem"))
    context.load_cert_chain(system.path("tls/by-second.pem"), system.path("tls/by-second.key"))
    system.contexts["by-second"] = context

    path = "/v1/audit/entries?start=0&limit=1"
    there = system.vault("by-second")
    equal(there.get(path).status, 200, "while it is believed")
    session = there.connection.sock.session
    check(session is not None, "there is a session to come back with")
    _resumed(system, context, session, True)
    issuing.put(clients, first)
    _reload(system, "vault")
    problem(system.vault("by-second").get(path), 401, "unknown_principal")
    _resumed(system, context, session, False)
    equal(there.get(path).status, 200, "who was there before stays until it leaves")
    equal(system.vault("auditor").get(path).status, 200, "the others")


def _resumed(system, context, session, expected):
    with socket.create_connection(("127.0.0.1", system.ports["vault"]), timeout=20) as raw, \
            context.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
        equal(sock.session_reused, expected, "the session of before is taken up")


def the_relay_shows_the_vault_its_new_certificate(system):
    folder = system.path("tls", "relay")
    names = [os.path.join(folder, name) for name in ("relay-client.pem", "relay-client.key")]
    whole = [issuing.content(path) for path in names]
    issuing.certificate(system.path("tls"), "client-new", "URI:urn:cardkeep:relay:main")
    token = system.token(VISA)["token"]
    outcome(pay(system, token), "answered", False)
    for path, suffix in reversed(list(zip(names, ("pem", "key")))):
        issuing.put(path, issuing.content(system.path(f"tls/client-new.{suffix}")))
    _reload(system, "relay", "vault")
    outcome(pay(system, token), "answered", False)
    wait_until(lambda: any(one["event"] == "tls.reload" and one["object"] == "vault" and
                           issuing.fingerprint(names[0]) in one["detail"]
                           for one in system.audit("relay")), "its log says which")

    # Broken on the disk, and the vault new: what is in force is in memory.
    issuing.put(names[0], b"broken")
    _reload(system, "relay", "vault")
    equal(_metric(system, "relay", "stale", "vault"), 1, "what the metric says")
    gone = system.kill_part("vault", "front")  # And with it all connections that there are.
    wait_until(lambda: system.part("vault", "front") not in (None, gone), "another front")
    system.wait_ready("vault")
    wait_until(lambda: system.is_ready("relay"), "the relay found the vault again")
    outcome(pay(system, token), "answered", False)
    for path, data in zip(names, whole):
        issuing.put(path, data)
    wait_until(lambda: _metric(system, "relay", "stale", "vault") == 0, "mended")


def one_that_runs_out_within_a_month_is_a_line_and_a_metric(system):
    for daemon in DAEMONS:
        check(_metric(system, daemon, "left_seconds") > 30 * 86400, "long before")
        issuing.certificate(system.path("tls"), f"{daemon}-short", days=20)
        heard = len(system.log(daemon))
        _install(system, daemon, f"{daemon}-short")
        _reload(system, daemon)
        wait_until(lambda d=daemon, h=heard: "certificate_runs_out" in system.log(d)[h:],
                   "the line")
        left = _metric(system, daemon, "left_seconds")
        check(19 * 86400 < left <= 20 * 86400, f"seconds left: {left}")
        time_left = system.log(daemon)[heard:].count("certificate_runs_out")
        _reload(system, daemon)
        check(time_left >= 1, "once for each that came into force")


def hang_up_ends_no_part(system):
    for daemon in DAEMONS:
        family = system.family(daemon)
        for _ in range(20):
            _hang_up(system, daemon)
        _reload(system, daemon)
        equal(system.family(daemon), family, f"the {daemon}'s processes")
        check(system.is_ready(daemon), f"the {daemon} is ready")
