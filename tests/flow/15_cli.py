# SPDX-License-Identifier: Apache-2.0
"""What people type: the same card, through the command line."""
import json
import os

from harness import MASTERCARD, VISA, check, equal, problem


def _json(done):
    equal(done.returncode, 0, f"exit code: {done.stderr}")
    return json.loads(done.stdout)


def status_says_that_both_are_ready(system):
    done = system.cardkeep("status")
    equal(done.returncode, 0, f"exit code: {done.stdout}{done.stderr}")
    for daemon in ("vault", "relay"):
        check(daemon in done.stdout, done.stdout)
    _json(system.cardkeep("status", "--json"))


def a_token_is_created_shown_and_deleted(system):
    made = _json(system.cardkeep("token", "create", "--json", "--exp", "12/2031",
                                 "--name", "A. Example", text=VISA + "\n"))
    equal((made["last4"], made["brand"]), ("4242", "visa"), "the masked view")
    shown = _json(system.cardkeep("token", "show", "--json", made["token"]))
    equal(shown["token"], made["token"], "the same token")
    done = system.cardkeep("token", "delete", made["token"])
    equal(done.returncode, 0, done.stderr)
    problem(system.vault().get(f"/v1/tokens/{made['token']}"), 410, "erased")
    done = system.cardkeep("token", "show", made["token"])
    check(done.returncode != 0 and "erased" in done.stderr, done.stderr)


def a_code_comes_on_a_second_line(system):
    made = _json(system.cardkeep("token", "create", "--json", "--exp", "12/2031", "--cvv",
                                 text=MASTERCARD + "\n123\n"))
    check(made["cvv"]["token"].startswith("cvv_test_"), str(made))


def a_number_as_an_argument_is_wrong_usage(system):
    done = system.cardkeep("token", "create", VISA)
    equal(done.returncode, 2, "exit code")
    check(VISA not in done.stdout + done.stderr, "the number is not repeated")


def a_bad_number_is_refused_by_name_and_not_repeated(system):
    wrong = VISA[:-1] + "1"
    done = system.cardkeep("token", "create", "--exp", "12/2031", text=wrong + "\n")
    check(done.returncode != 0, "exit code")
    check("check digit" in done.stderr, done.stderr)
    check(wrong not in done.stdout + done.stderr, "the number is not repeated")


def what_a_problem_is_about_is_named(system):
    done = system.cardkeep("token", "create", text=VISA + "\n")
    equal((done.returncode, "--exp is needed" in done.stderr), (2, True), done.stderr)
    done = system.cardkeep("keys", "rotate", "dek")
    equal(done.returncode, 1, "exit code")
    check("missing_field" in done.stderr and "Field: /tenant" in done.stderr, done.stderr)


def a_daemon_that_is_not_there_is_exit_three(system):
    system.stop("relay")
    done = system.cardkeep("status")
    equal(done.returncode, 3, f"exit code: {done.stdout}{done.stderr}")
    system.start("relay")
    equal(system.cardkeep("status").returncode, 0, "exit code once it is back")


def scan_finds_a_card_and_shows_four_digits_of_it(system):
    folder = system.path("scanned")
    os.mkdir(folder)
    path = os.path.join(folder, "notes.txt")
    with open(path, "w", encoding="ascii") as file:
        file.write("nothing here but order 1042\n")
    equal(system.cardkeep("scan", folder, config=False).returncode, 0, "a clean folder")
    with open(path, "a", encoding="ascii") as file:
        file.write("card: " + " ".join(VISA[i:i + 4] for i in range(0, 16, 4)) + "\n")
    done = system.cardkeep("scan", folder, config=False)
    os.remove(path)
    equal(done.returncode, 1, f"exit code: {done.stdout}{done.stderr}")
    check("4242" in done.stdout and VISA not in done.stdout.replace(" ", ""), done.stdout)


def what_the_daemons_understood_can_be_asked(system):
    for daemon in ("vault", "relay"):
        done = system.check_config(daemon)
        equal(done.returncode, 0, done.stderr)
        check("environment: development" in done.stdout, done.stdout)


def a_wrong_key_in_a_configuration_is_named_with_its_line(system):
    for daemon in ("vault", "relay"):
        name = f"{daemon}.yaml"
        with open(system.path(name), encoding="ascii") as file:
            kept = file.read()
        with open(system.path(name), "a", encoding="ascii") as file:
            file.write("enviroment: development\n")
        done = system.check_config(daemon)
        with open(system.path(name), "w", encoding="ascii") as file:
            file.write(kept)
        equal(done.returncode, 2, f"exit code: {done.stderr}")
        check(f"{name}:{kept.count(chr(10)) + 1}" in done.stderr and "environment" in done.stderr,
              done.stderr)
