# SPDX-License-Identifier: Apache-2.0
"""What is left of a card in the memory of the processes that had it: nothing, once it is used.

Who runs the tests as root reads the processes' memory and looks.  Anybody else, the user that they
run as among them, must not be able to read it at all; that is what is tested then.
"""
import os

from harness import DECLINED, MASTERCARD, check, equal, pay, problem, wait_until

NAME = b"Zebulon Quagga"


def _found(pid, needle):
    """The regions of a process that hold the needle."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            words = line.split()
            if "r" not in words[1] or words[-1] in ("[vvar]", "[vsyscall]"):
                continue
            first, end = (int(word, 16) for word in words[0].split("-"))
            try:
                memory.seek(first)
                data = memory.read(end - first)
            except OSError:
                continue  # A guard page.
            if needle in data:
                found.append(words[-1])
    return found


def _nowhere(system, needle):
    for daemon in ("vault", "relay"):
        for pid, name in system.family(daemon).items():
            try:
                regions = _found(pid, needle)
            except PermissionError:
                continue
            if regions:
                return f"{daemon}/{name}: {regions}"
    return None


def _gone(system, needle):
    """A settlement may be under way for a moment after the answer."""
    wait_until(lambda: _nowhere(system, needle) is None, "no process holds it any more", 5)


def the_search_finds_what_is_there(system):
    needle = os.urandom(16)
    check(_found(os.getpid(), needle), "in this process")


def each_process_leaves_no_core_and_gains_no_privileges(system):
    for daemon in ("vault", "relay"):
        for pid, name in system.family(daemon).items():
            if pid == system.running[daemon].pid:
                continue  # The supervisor has nothing to hide.
            with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
                core = [line.split()[4:6] for line in file if line.startswith("Max core")]
            equal(core, [["0", "0"]], f"core file sizes of the {daemon}'s {name}")
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                check("NoNewPrivs:\t1" in file.read(), f"privileges of the {daemon}'s {name}")
            equal(os.stat(f"/proc/{pid}/mem").st_uid, 0, "whose its memory is: not dumpable")


def a_paid_card_is_in_no_process_s_memory(system):
    for _ in range(10):
        made = system.token(MASTERCARD, cvv="737", cardholder_name=NAME.decode())
        equal(pay(system, made["token"], made["cvv"]["token"]).status, 200, "the payment")
    _gone(system, MASTERCARD.encode())
    _gone(system, NAME)


def a_card_that_was_refused_is_in_no_process_s_memory(system):
    body = {"number": DECLINED, "exp_month": 13, "exp_year": 2031}
    problem(system.vault().post("/v1/tokens", body), 422, "invalid_expiry")
    body["nickname"] = "x"
    problem(system.vault().post("/v1/tokens", body), 422, "unknown_field")
    problem(system.vault().post("/v1/tokens", str(body).encode(), headers={
        "Content-Type": "application/json"}), 400, "invalid_json")
    problem(pay(system, DECLINED), 422, "card_in_free_text")
    _gone(system, DECLINED.encode())


def a_card_whose_payment_failed_is_in_no_process_s_memory(system):
    for behaviour in ("close_before", "close_half", "malformed", "error_500", "echo"):
        pay(system, system.token(DECLINED)["token"], behaviour=behaviour)
    _gone(system, DECLINED.encode())


def a_batch_leaves_no_card_in_memory(system):
    card = {"number": DECLINED, "exp_month": 12, "exp_year": 2031}
    answer = system.vault().post("/v1/tokens/batch", {"cards": [card] * 200})
    equal(answer.status, 200, "the batch")
    _gone(system, DECLINED.encode())
