# SPDX-License-Identifier: Apache-2.0
"""What Cardkeep is held against, each started here and ended here: PostgreSQL, nginx, the disk."""
import glob
import math
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import proc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
import harness  # pylint: disable=wrong-import-position
import ports  # pylint: disable=wrong-import-position

# PostgreSQL does less than the vault here: no fingerprint, no look-up of one, no Merkle tree.
SCHEMA = """
CREATE EXTENSION pgcrypto;
CREATE TABLE cards (token uuid PRIMARY KEY, sealed bytea NOT NULL, exp_month smallint NOT NULL,
                    exp_year smallint NOT NULL, created timestamptz NOT NULL);
CREATE TABLE audit (id bigserial PRIMARY KEY, at timestamptz NOT NULL, actor text NOT NULL,
                    event text NOT NULL, object uuid NOT NULL);
"""
KEEP = """\\set number random(0, 99999999999)
WITH kept AS (
    INSERT INTO cards VALUES (gen_random_uuid(), {sealed}, 12, 2031, now()) RETURNING token)
INSERT INTO audit (at, actor, event, object)
SELECT now(), 'shop', 'card.tokenize', token FROM kept RETURNING object;
"""
CARD = "'9999' || lpad(:number::text, 12, '0')"
SEALED = {
    "pgp": f"pgp_sym_encrypt({CARD}, 'the key of the database')",
    "aes": f"encrypt_iv(({CARD})::bytea, '0123456789abcdef'::bytea, gen_random_bytes(16), 'aes')",
}
# Memory as for the vault, and nothing of its own that would fall into a measurement: the log has
# room without a checkpoint, and nothing has to be vacuumed.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
fsync = on
synchronous_commit = on
max_connections = 300
shared_buffers = 512MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
log_min_messages = fatal
"""


class Missing(Exception):
    """A rival that is not installed."""


def owner():
    """Whom a server runs as that refuses root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    raise Missing("neither postgres nor nobody is a user here")


def tool(name, *places):
    for place in places:
        for path in sorted(glob.glob(os.path.join(place, name)), reverse=True):
            return path
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


class Postgres:
    def __init__(self, tls, progress):
        """`tls`: paths of a certificate and its key."""
        self.progress = progress
        self.bin = os.path.dirname(tool("initdb", "/usr/lib/postgresql/15/bin"))
        self.owner = owner()
        self.folder = tempfile.mkdtemp(prefix="cardkeep-bench-pg-")
        self.data = os.path.join(self.folder, "data")
        self.port = ports.take(1)
        self.process = None
        self.connecting = {}  # {clients: (ms, CPU time)}
        try:
            self.make(tls)
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *command, text=None):
        environment = {**os.environ, "PGSSLMODE": "require", "PGHOST": "127.0.0.1",
                       "PGPORT": str(self.port), "PGUSER": "bench", "PGDATABASE": "postgres",
                       "HOME": self.folder}
        process = subprocess.Popen(
            [os.path.join(self.bin, command[0]), *command[1:]], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd="/",
            **self.owner)
        if text is not None:
            process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        out, err = self.progress.wait(process, 300)
        harness.equal(process.returncode, 0, f"{command[0]}: {err[-1000:]}")
        return out

    def make(self, tls):
        for source, name in zip(tls, ("server.pem", "server.key")):
            shutil.copyfile(source, self.path(name))
            os.chmod(self.path(name), 0o600)
        for kind, sealed in SEALED.items():
            with open(self.path(kind), "w", encoding="ascii") as file:
                file.write(KEEP.format(sealed=sealed))
        if self.owner:
            for path in [self.folder] + [self.path(name) for name in os.listdir(self.folder)]:
                os.chown(path, self.owner["user"], self.owner["group"])
        self.run("initdb", "--no-sync", "-A", "trust", "-U", "bench", "--locale=C", "-E", "UTF8",
                 self.data)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(SETTINGS.format(port=self.port, folder=self.folder))
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write("hostssl all all 127.0.0.1/32 trust\n")
        with open(self.path("log"), "w", encoding="ascii") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.bin, "postgres"), "-D", self.data], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd="/", **self.owner)
        harness.wait_until(self.is_ready, "PostgreSQL answers", 60)
        self.run("psql", "-q", "-v", "ON_ERROR_STOP=1", text=SCHEMA)

    def is_ready(self):
        harness.check(self.process.poll() is None, "PostgreSQL ended")
        done = subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p",
                               str(self.port)], check=False)
        return done.returncode == 0

    def cpu_us(self):
        """Of all its processes, those that have ended among them."""
        pid = self.process.pid
        return proc.cpu_us([pid] + proc.children(pid)) + proc.reaped_cpu_us(pid)

    def clients(self, count, kind, *how):
        """What pgbench says, and the CPU time of all of it."""
        before = self.cpu_us()
        said = self.run("pgbench", "-n", "-M", "prepared", "-c", str(count), "-j", "1", *how, "-f",
                        self.path(kind))
        # A backend is reaped after its client has left.
        harness.wait_until(lambda: len(proc.children(self.process.pid)) < count,
                           "the clients have left")
        harness.equal(said_number(said, "failed transactions: "), 0, "failed transactions")
        return said, self.cpu_us() - before

    def keep(self, count, seconds, kind="pgp"):
        """Cards a second, one transaction each.  What connecting takes is known from a run of its
        own: pgbench's clock runs meanwhile, though its rate leaves it out."""
        if count not in self.connecting:
            said, cpu_us = self.clients(count, kind, "-t", "1")
            self.connecting[count] = (said_number(said, "initial connection time = "), cpu_us)
        connecting_ms, connecting_us = self.connecting[count]
        for patience in (1.5, 4, 10):
            lasts = str(math.ceil(seconds + patience * connecting_ms / 1000))
            said, cpu_us = self.clients(count, kind, "-T", lasts)
            done = said_number(said, "actually processed: ")
            if done > count:
                return {"per_second": said_number(said, "tps = "),
                        "mean_us": said_number(said, "latency average = ") * 1000,
                        "cpu_us": max(0, cpu_us - connecting_us) / done}
        raise AssertionError(f"{count} clients of PostgreSQL are not connected after {lasts} s")

    def close(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def said_number(text, label):
    """The number behind a label of pgbench's report."""
    found = re.search(re.escape(label) + r"(\d+(?:\.\d+)?)", text)
    harness.check(found, f"pgbench does not say {label!r}: {text}")
    return float(found.group(1))


NGINX = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream gateway {{
        server localhost:{gateway};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {ca};
        ssl_verify_client on;
        ssl_protocols TLSv1.2 TLSv1.3;
        keepalive_requests 1000000000;
        location /sandbox/ {{
            proxy_pass https://gateway/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {ca};
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
        }}
    }}
}}
"""


class Nginx:
    """Passes /sandbox/… on to the gateway: TLS and client certificates as at the relay."""

    def __init__(self, system):
        binary = tool("nginx", "/usr/sbin")
        self.folder = tempfile.mkdtemp(prefix="cardkeep-bench-nginx-")
        self.port = ports.take(1)
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(NGINX.format(
                user="user root;" if os.getuid() == 0 else "", folder=self.folder, port=self.port,
                gateway=system.ports["sandbox"], certificate=system.path("tls/relay/relay.pem"),
                key=system.path("tls/relay/relay.key"), ca=system.path("tls/ca.pem")))
        self.process = subprocess.Popen(
            [binary, "-p", self.folder, "-c", path, "-e", os.path.join(self.folder, "error.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            harness.wait_until(self.is_ready, "nginx answers")
        except BaseException:
            self.close()
            raise

    def is_ready(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "error.log"), encoding="utf-8") as file:
                raise AssertionError(f"nginx ended: {file.read()[-1000:]}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return len(self.pids()) > 1
        except OSError:
            return False

    def pids(self):
        return [self.process.pid] + proc.children(self.process.pid)

    def close(self):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def append(folder, count):
    """256 bytes at the end of a file, synced: what no store on this disk can beat."""
    took = []
    block = os.urandom(256)
    handle, path = tempfile.mkstemp(dir=folder, prefix="append-")
    try:
        for _ in range(count):
            began = time.perf_counter_ns()
            os.write(handle, block)
            os.fdatasync(handle)
            took.append((time.perf_counter_ns() - began) / 1000)
    finally:
        os.close(handle)
        os.unlink(path)
    return {"p50_us": percentile(took, 50), "p99_us": percentile(took, 99)}
