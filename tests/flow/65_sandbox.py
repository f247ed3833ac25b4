# SPDX-License-Identifier: Apache-2.0
"""What somebody could do who had broken into a part of a daemon: nothing that the part does not do.

The calls are made by the running parts themselves, under all that they have given up.  Who runs the
tests as root starts both daemons as root too, to become somebody else: by name and by number.
"""
import os
import resource
import socket
import ssl
import stat
import subprocess
import threading
import warnings

import astray
from harness import (KEY, MASTERCARD, check, equal, outcome, pay, payment, problem,
                     wait_until)

warnings.filterwarnings("ignore", "ssl.TLSVersion")  # It is what is to be refused.
NOBODY = 65534
PARTS = (("vault", "keeper"), ("vault", "front"), ("vault", "signer"),
         ("relay", "relay"), ("relay", "signer"))
OPENSSL = """openssl_conf = all
[all]
providers = providers
ssl_conf = ssl
[ssl]
system_default = all_versions
[all_versions]
MinProtocol = TLSv1
CipherString = DEFAULT@SECLEVEL=0
[providers]
default = active
legacy = active
[active]
activate = 1
"""
orders = {}
old_gateway = []


def _as_root():
    return os.geteuid() == 0


def _give(system, user):
    """Everything of the system is the user's; its folder above can be passed through."""
    os.chmod(os.path.dirname(system.folder), 0o711)
    for folder, _, names in os.walk(system.folder):
        os.chown(folder, user, user)
        for name in names:
            os.chown(os.path.join(folder, name), user, user)


def prepare(system):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # As many a host sets it.
    # A host whose OpenSSL has a provider to load, as those with FIPS have, and takes any version.
    with open(system.path("openssl.cnf"), "w", encoding="utf-8") as file:
        file.write(OPENSSL)
    old_gateway.append(socket.create_server(("127.0.0.1", 0)))
    system.edit("relay.yaml", "destinations:\n", f"""destinations:
  old:
    gateway: sandbox
    host: localhost
    port: {old_gateway[0].getsockname()[1]}
    authorities: tls/ca.pem
    allow: ["127.0.0.0/8", "::1/128"]
""")
    system.edit("policies.yaml", "  stripe-sandbox: {}\n", "  stripe-sandbox: {}\n  old: {}\n")
    system.edit("policies.yaml", "[sandbox, stripe-sandbox]", "[sandbox, stripe-sandbox, old]")
    orders.update(astray.install(system, OPENSSL_CONF=system.path("openssl.cnf")))
    if _as_root():
        system.edit("vault.yaml", "data: data/vault\n", "data: data/vault\nuser: nobody\n")
        system.edit("relay.yaml", "data: data/relay\n", f'data: data/relay\nuser: "{NOBODY}"\n')
        _give(system, NOBODY)


def _user():
    return NOBODY if _as_root() else os.geteuid()


def _status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {line.split(":")[0]: line.split(":")[1].split() for line in file}


def _call(system, daemon, part, what, path="-"):
    return astray.call(system, orders, daemon, part, what, path)


def _recovered(system):
    for daemon in ("vault", "relay"):
        system.wait_ready(daemon)
    made = system.token(MASTERCARD, cvv="737")
    wait_until(lambda: pay(system, made["token"], made["cvv"]["token"]).status == 200,
               "a payment goes through", 40)


def every_part_is_filtered_and_gains_nothing(system):
    for daemon in ("vault", "relay"):
        for pid, name in system.family(daemon).items():
            found = _status(pid)
            equal((found["Seccomp"], found["NoNewPrivs"]), (["2"], ["1"]),
                  f"the {daemon}'s {name}, its supervisor included")
            with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
                core = [line.split()[4:6] for line in file if line.startswith("Max core")]
            equal(core, [["0", "0"]], f"core file sizes of the {daemon}'s {name}")
            equal(os.stat(f"/proc/{pid}/mem").st_uid, 0, "whose its memory is: not dumpable")


def every_part_may_open_many_files(system):
    most = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    check(most > 1024, "there is room for more")
    for daemon, part in PARTS:
        with open(f"/proc/{system.part(daemon, part)}/limits", encoding="utf-8") as file:
            may = [line.split()[3] for line in file if line.startswith("Max open files")]
        equal(may, [str(most)], f"the {daemon}'s {part}")


def every_part_is_its_user_and_has_no_capability(system):
    for daemon, part in PARTS:
        found = _status(system.part(daemon, part))
        for line in ("Uid", "Gid"):
            equal(set(found[line]), {str(_user() if line == "Uid" or _as_root() else os.getegid())},
                  f"{line} of the {daemon}'s {part}")
        check("0" not in found["Groups"] or not _as_root(), f"root's group: {found['Groups']}")
        for line in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            equal(int(found[line][0], 16), 0, f"{line} of the {daemon}'s {part}")
        if _as_root():
            equal(int(found["CapBnd"][0], 16), 0, f"CapBnd of the {daemon}'s {part}")


def what_holds_secrets_is_locked(system):
    """At least what the pools and keys of each take, in KiB; the keeper has the CVVs' cells too."""
    least = {"keeper": 4500, "front": 8, "relay": 2048, "signer": 4}
    for daemon, part in PARTS:
        locked = int(_status(system.part(daemon, part))["VmLck"][0])
        check(locked >= least[part], f"the {daemon}'s {part} has {locked} KiB locked")


def what_the_host_adds_to_openssl_is_loaded_before_code_cannot_be(system):
    for daemon, part in PARTS:
        pid = system.part(daemon, part)
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                check("/legacy.so" in file.read(), f"the {daemon}'s {part} has the provider")
        except PermissionError:
            check(not _as_root(), "who is not root sees that all have started, and no more")


def _old_context(context):
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _old_client(system):
    return _old_context(ssl.create_default_context(cafile=system.path("tls/ca.pem")))


def an_older_tls_is_refused_whatever_the_host_would_take(system):
    context = _old_context(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(system.path("tls/sandbox.pem"), system.path("tls/sandbox.key"))
    outcomes = []

    def serve():
        for _ in range(2):
            connection, _ = old_gateway[0].accept()
            try:
                with context.wrap_socket(connection, server_side=True) as stream:
                    outcomes.append(stream.version())
            except ssl.SSLError:
                outcomes.append("refused")
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    # This one would be spoken to by who takes it.
    with socket.create_connection(old_gateway[0].getsockname(), 20) as plain:
        with _old_client(system).wrap_socket(plain, server_hostname="localhost") as stream:
            equal(stream.version(), "TLSv1.1", "what it speaks")
    answer = system.relay().post("/old/v1/payment_intents", payment(system.token()["token"]),
                                 headers=KEY)
    problem(answer, 502, "gateway_tls")
    outcome(answer, "not_sent", True, "network")
    thread.join(20)
    equal(outcomes, ["TLSv1.1", "refused"], "what the gateway saw")
    for name in ("vault", "relay"):
        with socket.create_connection(("127.0.0.1", system.ports[name]), 20) as plain:
            try:
                _old_client(system).wrap_socket(plain, server_hostname="localhost").close()
                check(False, f"the {name} takes an older TLS")
            except ssl.SSLError:
                pass


def all_that_they_write_is_theirs_alone(system):
    seen = 0
    for folder, _, names in os.walk(system.path("data")):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            try:
                info = os.lstat(path)
            except FileNotFoundError:
                continue  # RocksDB was done with it.
            wanted = 0o700 if stat.S_ISDIR(info.st_mode) else 0o600
            equal((info.st_uid, oct(stat.S_IMODE(info.st_mode))), (_user(), oct(wanted)), path)
            seen += 1
    check(seen > 15, f"two stores with their files, and two signers' memories: {seen}")


def keeper_and_signers_have_a_network_with_nothing_in_it(system):
    """Where they may leave it: as root.  What they cannot do in any case is the next test."""
    ours = os.readlink("/proc/self/ns/net")
    for daemon, part in PARTS:
        pid = system.part(daemon, part)
        if not _as_root():
            equal(_status(pid)["Seccomp"], ["2"], "then the filter alone stands before it")
            continue
        left = part in ("keeper", "signer")
        equal(os.readlink(f"/proc/{pid}/ns/net") != ours, left, f"the {daemon}'s {part} left it")
        if left:
            with open(f"/proc/{pid}/net/dev", encoding="utf-8") as file:
                names = [line.split(":")[0].strip() for line in file if ":" in line]
            equal(names, ["lo"], f"the interfaces of the {daemon}'s {part}")


def who_has_no_business_in_the_network_dies_of_a_socket(system):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for daemon, part in PARTS:
            if part == "relay":
                continue
            equal(_call(system, daemon, part, "dial", port), "SIGSYS", f"the {daemon}'s {part}")
            _recovered(system)
        # The relay goes out, and that is heard here: so the ear is good.
        equal(_call(system, "relay", "relay", "dial", port), "ok", "the relay dials")
        server.setblocking(True)
        server.settimeout(20)
        server.accept()[0].close()
        server.setblocking(False)
        try:
            server.accept()
            check(False, "somebody else got through")
        except BlockingIOError:
            pass


def who_listens_already_does_not_listen_anew(system):
    equal(_call(system, "vault", "front", "socket"), "SIGSYS", "a further socket of the front")
    equal(_call(system, "relay", "relay", "listen"), "SIGSYS", "a further listener of the relay")
    _recovered(system)


def a_call_that_no_part_makes_is_its_end_and_is_in_the_log(system):
    calls = {"keeper": ("fork", "trace"), "front": ("exec", "fork"), "relay": ("exec", "kill"),
             "signer": ("root",)}
    for daemon, part in PARTS:
        for what in calls[part]:
            equal(_call(system, daemon, part, what, "/bin/true"), "SIGSYS",
                  f"{what} in the {daemon}'s {part}")
            wait_until(lambda at=(daemon, part): system.part(*at), f"the {part} is back")
        wait_until(lambda at=daemon: system.is_ready(at), f"the {daemon} is ready", 60)
    _recovered(system)


def no_part_makes_data_into_code(system):
    for daemon, part in PARTS:
        # The resolver may ask for a module, and goes without.
        wanted = "EACCES" if part == "relay" else "SIGSYS"
        equal(_call(system, daemon, part, "code"), wanted, f"the {daemon}'s {part}")
        wait_until(lambda at=daemon: system.is_ready(at), f"the {daemon} is ready", 60)
    _recovered(system)


def each_part_reaches_its_own_files_and_no_others(system):
    """As their user all of these would be open to it."""
    if "not bounded" in system.check_config("vault").stdout:
        check("a bound on its files" in system.log("vault"), "this kernel has none: it is said")
        return
    vault_key, relay_key = system.path("tls/vault/vault.key"), system.path("tls/relay/relay.key")
    seal, vault_signer = system.path("seal.key"), system.path("keys/vault-signer.key")
    policies, state = system.path("policies.yaml"), system.path("data/vault-signer.state")
    store, ledger = system.path("data/vault/CURRENT"), system.path("data/relay/CURRENT")
    own = {("vault", "keeper"): (seal, policies, store),
           ("vault", "front"): (vault_key,),
           ("vault", "signer"): (vault_signer,),
           ("relay", "relay"): (relay_key, policies, ledger),
           ("relay", "signer"): (system.path("keys/relay-signer.key"),)}
    every = (seal, vault_signer, vault_key, relay_key, policies, store, ledger,
             system.path("vault.yaml"), "/etc/passwd")
    for (daemon, part), mine in own.items():
        if part == "signer":  # It wakes once a second.
            every = (seal, store, relay_key)
        for path in mine:
            equal(_call(system, daemon, part, "read", path), "ok", f"{part} reads {path}")
        for path in every:
            if path not in mine and (part, path) != ("relay", "/etc/passwd"):
                equal(_call(system, daemon, part, "read", path), "EACCES",
                      f"the {daemon}'s {part} reads {path}")
        for path in (seal, state if part == "keeper" else vault_key, system.path("new")):
            equal(_call(system, daemon, part, "write", path), "EACCES",
                  f"the {daemon}'s {part} writes {path}")
    equal(_call(system, "vault", "keeper", "unlink", state), "EACCES", "the signer's memory goes")
    equal(_call(system, "relay", "relay", "unlink", store), "EACCES", "the vault's store goes")


def a_certificate_that_was_cut_short_is_named_and_what_to_do(system):
    for daemon in ("vault", "relay"):
        path = system.path("tls", daemon, f"{daemon}.pem")
        with open(path, "rb") as file:
            whole = file.read()
        system.stop(daemon)
        heard = len(system.log(daemon))
        with open(path, "wb") as file:
            file.write(whole[:200])
        try:
            system.spawn(daemon)
            wait_until(lambda d=daemon, h=heard: "check that it is PEM" in system.log(d)[h:],
                       f"the {daemon} says so")
            check("SIGSYS" not in system.log(daemon)[heard:], "it ends by itself")
        finally:
            system.kill(daemon)
            with open(path, "wb") as file:
                file.write(whole)
            system.start(daemon)


def a_gateway_s_authorities_are_looked_at_by_check(system):
    with open(system.path("tls", "ca.pem"), encoding="utf-8") as file:
        whole = file.read()
    with open(system.path("tls", "cut.pem"), "w", encoding="utf-8") as file:
        file.write(whole[:200])
    system.edit("relay.yaml", "    authorities: tls/ca.pem", "    authorities: tls/cut.pem")
    done = system.check_config("relay")
    equal((done.returncode, done.stdout), (2, ""), done.stderr)
    check("destinations: " in done.stderr and "cut.pem holds no usable CA certificate" in
          done.stderr and "check that it is PEM" in done.stderr, done.stderr)
    system.edit("relay.yaml", "    authorities: tls/cut.pem", "    authorities: tls/ca.pem")


def configurations_say_what_guards_there_are(system):
    for daemon in ("vault", "relay"):
        done = system.check_config(daemon)
        equal(done.returncode, 0, done.stderr)
        check("guards: {system_calls: filtered, files: " in done.stdout, done.stdout)
        if _as_root():
            check("\nuser: " in done.stdout, done.stdout)
        check("guards_missing" not in system.log(daemon) or "Landlock" in system.log(daemon),
              f"what the {daemon} misses: {system.log(daemon)[:600]}")


def a_store_that_is_somebody_else_s_is_refused(system):
    """By name, and with what to do about it."""
    system.stop("relay")
    store = system.path("data/relay")
    if _as_root():
        os.chown(store, 12345, 12345)
        wanted = f"data/relay: belongs to user 12345, and this process is user {NOBODY}; chown it"
    else:
        os.chmod(store, 0o750)
        wanted = "data/relay: others can enter it; set its mode to 0700"
    system.spawn("relay")
    equal(system.running.pop("relay").wait(30), 2, "its exit code")
    check(wanted in system.log("relay"), system.log("relay")[-600:])
    if _as_root():
        os.chown(store, NOBODY, NOBODY)
    os.chmod(store, 0o700)
    system.start("relay")


def root_without_a_user_is_refused_in_production_alone(system):
    """In development it is said: both daemons of every other file run so."""
    with open(system.path("relay.yaml"), encoding="utf-8") as file:
        text = file.read()
    head, rest = text.split("destinations:\n")
    head = head.replace(f'user: "{NOBODY}"\n', "").replace("data/relay", "data/production")
    head = head.replace("environment: development", "environment: production")
    text = head + "destinations: {stripe: {gateway: stripe}}\n" + rest[rest.index("limits:"):]
    for name, port in (("relay", 8), ("relay_metrics", 9)):
        text = text.replace(f":{system.ports[name]}", f":{system.ports['vault'] + port}")
    with open(system.path("production.yaml"), "w", encoding="utf-8") as file:
        file.write(text)
    command = system.command("relay")[:-1] + [system.path("production.yaml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            if _as_root():
                equal(process.wait(30), 2, "its exit code")
                wanted = "a user of its own"  # The relay says it, or the signer, who comes first.
            else:  # Nothing is missing; the vault does not know this relay's destination.
                wanted = '"event":"listening"'
            for line in process.stderr:
                if wanted in line:
                    break
            else:
                check(False, f"it does not say {wanted}")
        finally:
            process.terminate()
