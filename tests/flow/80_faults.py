# SPDX-License-Identifier: Apache-2.0
"""Disks fill up and break, calls fail: what is asked then is refused by its name, and what was said
before holds; once the trouble is over work goes on by itself."""
import os

import faults
from harness import check, equal, outcome, pay, problem, wait_until

STORE = "open,write,sync,grow,rename,mkdir {} data/vault/"
LEDGER = "open,write,sync,grow,rename,mkdir {} data/relay/"
BODY = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2031}

failing = {}


def prepare(system):
    failing.update(faults.install(system))
    os.umask(0)  # What the daemons keep to themselves must not rest on whoever starts them.


def _readyz(system, daemon):
    try:
        return system.metrics(daemon, "/readyz")
    except OSError:
        return None


def _is_unready(system, daemon, *words):
    def said():
        answer = _readyz(system, daemon)
        return answer is not None and answer.status == 503 and all(
            word in answer.body.decode() for word in words)
    wait_until(said, f"the {daemon}'s /readyz says {words}")


def _comes_back(system, daemon):
    wait_until(lambda: system.is_ready(daemon), f"the {daemon} is ready by itself:\n"
               f"{system.log(daemon)[-1500:]}", 40)


def _vault_refuses_until_the_disk_is_back(system, rule):
    made = system.token(cvv="123")
    keeper = system.part("vault", "keeper")
    size = system.audit_size()
    with failing["vault"].on(rule):
        problem(system.vault().post("/v1/tokens", BODY), 503, "store_unavailable")
        problem(system.vault().get(f"/v1/tokens/{made['token']}"), 503, "store_unavailable")
        _is_unready(system, "vault", "the store takes no writes")
    _comes_back(system, "vault")
    equal(system.part("vault", "keeper"), keeper, "the keeper lives on")
    equal(system.vault().get(f"/v1/tokens/{made['token']}").json["last4"], "4242", "the token")
    check(system.audit_size() >= size, "no entry is lost")
    equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "the code is still held")
    system.verified("vault")


def a_full_disk_stops_the_vault_and_loses_neither_token_nor_code(system):
    _vault_refuses_until_the_disk_is_back(system, STORE.format("ENOSPC"))


def a_write_error_stops_the_vault_and_loses_neither_token_nor_code(system):
    _vault_refuses_until_the_disk_is_back(system, STORE.format("EIO"))


def a_failed_sync_stops_the_vault_and_loses_neither_token_nor_code(system):
    """What was written may come back with the store, though it was refused: then it is whole."""
    _vault_refuses_until_the_disk_is_back(system, "sync EIO data/vault/")
