# SPDX-License-Identifier: Apache-2.0
"""A card comes in, a token goes out."""
import datetime
import re
import uuid

from harness import (AMEX, CARDS, DINERS_14, MASTERCARD, UNIONPAY_19, VISA, VISA_13, check, equal,
                     problem, together, wait_until)

CARD = {"number": VISA, "exp_month": 12, "exp_year": 2031}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
OPAQUE = r"tok_test_[0-9A-Za-z]{26}"


def prepare(system):
    """demo may have every format; acme gives one token a card, and may compare cards."""
    system.edit("policies.yaml", "  demo: {}\n  acme: {}\n",
                "  demo: {formats: [opaque, uuid, card], card_shaped: {keep_first: 6, keep_last: "
                "true}}\n  acme: {one_token_per_card: true}\n")
    system.edit("policies.yaml", "principals: [other]\n",
                "principals: [other]\n    tenants: [acme]\n"
                "  - id: other-matches\n    effect: allow\n    actions: [card.match]\n"
                "    principals: [other]\n")


def _post(system, who="shop", headers=None, **changes):
    body = {**CARD, **changes}
    return system.vault(who).post("/v1/tokens", {name: value for name, value in body.items()
                                                 if value is not ...}, headers=headers)


def _luhn_digit(digits):
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - index % 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def a_card_becomes_a_token_with_nothing_of_it_but_its_mask(system):
    answer = _post(system)
    equal(answer.status, 201, f"{answer!r}")
    view = answer.json
    check(re.fullmatch(OPAQUE, view["token"]), f"an opaque token: {view['token']}")
    check(re.fullmatch(TIME, view["created_at"]), view["created_at"])
    del view["token"], view["created_at"]
    equal(view, {"type": "card", "brand": "visa", "bin": "424242", "last4": "4242", "length": 16,
                 "exp_month": 12, "exp_year": 2031, "format": "opaque", "single_use": False,
                 "expires_at": None, "metadata": {}}, "the view")
    check(answer.header("Request-Id"), "a request id")


def every_field_that_is_given_comes_back_or_is_kept_apart(system):
    answer = _post(system, cvv="123", cardholder_name="A. Example", format="uuid",
                   single_use=True, expires_at="2030-01-02T03:04:05.678Z", purchase="order-1042",
                   metadata={"customer": "c_77", "höhle": "\u20ac \"x\" \\"})
    equal(answer.status, 201, f"{answer!r}")
    view = answer.json
    equal(str(uuid.UUID(view["token"], version=4)), view["token"], "a UUID")
    equal((view["format"], view["single_use"], view["expires_at"]),
          ("uuid", True, "2030-01-02T03:04:05.678Z"), "what was asked for")
    equal(view["metadata"], {"customer": "c_77", "höhle": "\u20ac \"x\" \\"}, "metadata")
    check(re.fullmatch(r"cvv_test_\w+", view["cvv"]["token"]), view["cvv"]["token"])
    lifetime = (datetime.datetime.fromisoformat(view["cvv"]["expires_at"][:-1]) -
                datetime.datetime.fromisoformat(view["created_at"][:-1]))
    equal(lifetime.total_seconds(), 900, "how long the CVV is kept")
    check(b"Example" not in answer.body and b"order-1042" not in answer.body, "no name, no order")


def a_stored_card_is_shown_as_it_was_answered(system):
    made = system.token(metadata={"a": "b"})
    answer = system.vault().get(f"/v1/tokens/{made['token']}")
    equal((answer.status, answer.json), (200, made), "the view again")


def every_published_card_is_taken_with_the_mask_of_its_length(system):
    for number in CARDS:
        if number == "4242424242424241":
            continue
        view = system.token(number)
        equal((view["length"], view["last4"]), (len(number), number[-4:]), "length and last four")
        equal(view.get("bin"), number[:6] if len(number) > 14 else None, f"bin at {len(number)}")


def brands_are_told_from_the_first_digits(system):
    for number, brand in ((VISA, "visa"), (VISA_13, "visa"), (MASTERCARD, "mastercard"),
                          (AMEX, "american_express"), (DINERS_14, "diners_club"),
                          (UNIONPAY_19, "unionpay")):
        equal(system.token(number)["brand"], brand, f"the brand of a card of {len(number)} digits")


def spaces_and_hyphens_in_a_number_are_taken_out(system):
    equal(system.token("4242 4242-4242 4242")["last4"], "4242", "last four")


def a_card_shaped_token_has_the_card_s_shape_and_a_wrong_check_digit(system):
    answer = _post(system, format="card")
    equal(answer.status, 201, f"{answer!r}")
    token = answer.json["token"]
    check(re.fullmatch(r"424242\d{6}4242", token), "the card's shape")
    check(token != VISA and _luhn_digit(token[:-1]) != token[-1], "no card number")
    equal(system.vault().get(f"/v1/tokens/{token}").json, answer.json, "it is found")


def a_format_that_the_tenant_does_not_have_is_refused(system):
    problem(_post(system, who="other", format="card"), 422, "invalid_field", "/format")
    problem(_post(system, format="fpe"), 422, "invalid_field", "/format")


def numbers_that_are_none_are_refused_by_what_is_wrong(system):
    # A prefix that no network has, so that it is not exempt from the check digit.
    eleven, twenty = "9" * 11, "9999" + "0" * 16
    wrong = "9999" + "0" * 11
    wrong += str((int(_luhn_digit(wrong)) + 1) % 10)
    for number in ("4242424242424241", eleven, twenty, wrong, "", "4242x424242424242",
                   "\uff14" + VISA[1:]):
        found = problem(_post(system, number=number), 422, "invalid_number", "/number")
        check(not number or number not in str(found), "no part of the input")
    problem(_post(system, number=int(VISA)), 422, "invalid_field", "/number")


def twelve_and_seventeen_digits_are_taken_too(system):
    for length in (12, 17):
        digits = "9999" + "0" * (length - 5)
        view = system.token(digits + _luhn_digit(digits))
        equal((view["length"], "bin" in view), (length, length > 14), "length and bin")


def expiries_that_are_none_or_past_are_refused(system):
    for month, year in ((0, 2031), (13, 2031), (1, 2020), (12, 1999), (12, 2100)):
        problem(_post(system, exp_month=month, exp_year=year), 422, "invalid_expiry")
    problem(_post(system, exp_month="12"), 422, "invalid_field", "/exp_month")


def a_cvv_has_as_many_digits_as_its_brand_has(system):
    for number, cvv in ((VISA, "12"), (VISA, "1234"), (VISA, "12a"), (AMEX, "123")):
        problem(_post(system, number=number, cvv=cvv), 422, "invalid_cvv", "/cvv")
    check(system.token(AMEX, cvv="1234")["cvv"]["token"], "four digits for Amex")


def track_data_and_pins_are_never_taken(system):
    track = "%B" + VISA + "^EXAMPLE/A^31121010000000000?"
    for field in ("track1", "track2", "pin", "pin_block"):
        problem(_post(system, **{field: "x"}), 422, "track_data_refused", f"/{field}")
    for changes in ({"number": ";" + VISA + "=31121010000000000?"}, {"cardholder_name": track},
                    {"metadata": {"swipe": track}}):
        problem(_post(system, **changes), 422, "track_data_refused")


def cards_in_free_text_are_refused(system):
    for field, changes in (("/metadata/note", {"metadata": {"note": f"card {VISA}"}}),
                           ("/cardholder_name", {"cardholder_name": VISA}),
                           ("/purchase", {"purchase": "4242-4242-4242-4242"})):
        problem(_post(system, **changes), 422, "card_in_free_text", field)


def fields_are_missing_unknown_or_of_the_wrong_kind_by_name(system):
    for name in ("number", "exp_month", "exp_year"):
        problem(_post(system, **{name: ...}), 422, "missing_field", f"/{name}")
    problem(_post(system, nickname="x"), 422, "unknown_field", "/nickname")
    check("field" not in problem(_post(system, **{VISA: "x"}), 422, "unknown_field"),
          "a card as a field's name is not repeated")
    for changes in ({"single_use": "yes"}, {"metadata": [1]}, {"metadata": {"a": 1}},
                    {"expires_at": "tomorrow"}, {"expires_at": "2020-01-01T00:00:00Z"},
                    {"purchase": "x" * 129}, {"cardholder_name": "x" * 129},
                    {"metadata": {"k" * 41: "v"}}, {"metadata": {"k": "v" * 501}},
                    {"metadata": {f"k{i}": "v" for i in range(17)}}):
        name = next(iter(changes))
        found = problem(_post(system, **changes), 422, "invalid_field")
        check(found["field"].startswith(f"/{name}"), f"the field of {name}: {found}")


def bodies_that_are_no_json_are_refused_before_anything_else(system):
    vault = system.vault()
    json = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[]x", b'{"number": "1", "number": "2"}', b'{"a": "\xff"}'):
        problem(vault.post("/v1/tokens", body, headers=json), 400, "invalid_json")
    problem(vault.post("/v1/tokens", b"[" * 200, headers=json), 413, "too_large")
    problem(vault.post("/v1/tokens", b"number=1"), 415, "unsupported_media_type")
    problem(vault.post("/v1/tokens", [("number", VISA)]), 415, "unsupported_media_type")


def a_batch_is_answered_in_order_with_its_bad_cards_named(system):
    cards = [CARD, {**CARD, "number": "4242424242424241"}, {**CARD, "number": MASTERCARD,
                                                            "cvv": "123"}, {"number": VISA},
             {**CARD, "colour": "red"}]
    answer = system.vault().post("/v1/tokens/batch", {"cards": cards})
    equal(answer.status, 200, f"{answer!r}")
    results = answer.json["results"]
    equal([one.get("code", "ok") for one in results],
          ["ok", "invalid_number", "ok", "missing_field", "unknown_field"], "in order")
    equal(results[1]["field"], "/cards/1/number", "where")
    equal(results[3]["field"], "/cards/3/exp_month", "where")
    check(results[2]["cvv"]["token"] and results[2]["last4"] == "4444", "the second good one")
    equal(system.vault().get(f"/v1/tokens/{results[0]['token']}").status, 200, "it is stored")


def a_batch_of_a_thousand_is_taken_and_of_more_is_not(system):
    answer = system.vault().post("/v1/tokens/batch", {"cards": [CARD] * 1000})
    equal(answer.status, 200, f"{answer!r}")
    tokens = {one["token"] for one in answer.json["results"]}
    equal(len(tokens), 1000, "tokens of their own")
    problem(system.vault().post("/v1/tokens/batch", {"cards": [CARD] * 1001}), 413, "too_large",
            "/cards")
    problem(system.vault().post("/v1/tokens/batch", {"cards": []}), 422, "invalid_field", "/cards")
    problem(system.vault().post("/v1/tokens/batch", {}), 422, "missing_field", "/cards")


def the_same_request_with_the_same_key_is_answered_again(system):
    key = {"Idempotency-Key": "tokenize-once"}
    first = _post(system, headers=key, cvv="123")
    again = _post(system, headers=key, cvv="123")
    equal((first.status, again.status), (201, 201), "status")
    equal(again.json["token"], first.json["token"], "the token")
    equal(again.json["cvv"], first.json["cvv"], "the CVV token")
    equal((first.header("Idempotency-Replayed"), again.header("Idempotency-Replayed")),
          (None, "true"), "said so")
    equal([(one["event"], one["outcome"]) for one in system.audit()
           if one.get("object") == first.json["token"]],
          [("card.tokenize", "ok"), ("card.tokenize", "replayed")], "its entries")


def another_request_with_the_same_key_is_a_conflict(system):
    key = {"Idempotency-Key": "tokenize-conflict"}
    equal(_post(system, headers=key).status, 201, "the first")
    problem(_post(system, headers=key, number=MASTERCARD), 409, "idempotency_conflict")
    problem(_post(system, headers=key, exp_month=11), 409, "idempotency_conflict")


def a_key_belongs_to_one_caller(system):
    key = {"Idempotency-Key": "tokenize-shared"}
    mine = _post(system, headers=key)
    theirs = _post(system, who="other", headers=key, number=MASTERCARD)
    equal((mine.status, theirs.status), (201, 201), "both")


def ten_repeats_at_one_time_make_one_token(system):
    key = {"Idempotency-Key": "tokenize-together"}
    answers = together(*[lambda: _post(system, headers=key)] * 10)
    equal({answer.status for answer in answers}, {201}, "all answered")
    equal(len({answer.json["token"] for answer in answers}), 1, "one token")
    equal(len([1 for answer in answers if answer.header("Idempotency-Replayed")]), 9, "replayed")


def a_batch_can_be_repeated_whole(system):
    key = {"Idempotency-Key": "batch-once"}
    cards = {"cards": [CARD, {"number": VISA}]}
    first = system.vault().post("/v1/tokens/batch", cards, headers=key)
    again = system.vault().post("/v1/tokens/batch", cards, headers=key)
    equal(again.json, first.json, "the same answer")
    equal(again.header("Idempotency-Replayed"), "true", "said so")
    token, bad = first.json["results"][0]["token"], first.json["results"][1]["code"]
    logged = [(one["outcome"], [item["outcome"] for item in one["items"]])
              for one in system.audit() if "items" in one and
              token in [item.get("object") for item in one["items"]]]
    equal(logged, [("ok", ["ok", bad]), ("replayed", ["replayed", bad])], "its entries")


def a_key_that_is_too_long_or_not_printable_is_refused(system):
    for key in ("k" * 256, "with\ttab"):
        problem(_post(system, headers={"Idempotency-Key": key}), 400, "invalid_header")


def a_deleted_token_is_gone_for_good(system):
    made = system.token()
    path = f"/v1/tokens/{made['token']}"
    equal(system.vault().delete(path).status, 204, "deleting")
    problem(system.vault().get(path), 410, "erased")
    problem(system.vault().delete(path), 410, "erased")
    problem(system.vault().post(path + "/cvv", {"cvv": "123"}), 410, "erased")


def a_token_that_never_was_is_not_found(system):
    made = system.token()["token"]
    changed = made[:-1] + ("a" if made[-1] != "a" else "b")
    for token in (changed, "tok_test_" + "0" * 26, "nothing", str(uuid.uuid4()), "%74ok"):
        problem(system.vault().get(f"/v1/tokens/{token}"), 404, "not_found")
        problem(system.vault().delete(f"/v1/tokens/{token}"), 404, "not_found")


def a_cvv_can_be_given_later(system):
    made = system.token()
    answer = system.vault().post(f"/v1/tokens/{made['token']}/cvv",
                                 {"cvv": "123", "purchase": "order-2"})
    equal(answer.status, 201, f"{answer!r}")
    check(re.fullmatch(r"cvv_test_\w+", answer.json["token"]), "a CVV token")
    check(re.fullmatch(TIME, answer.json["expires_at"]), "its end")
    events = [one["event"] for one in system.audit() if one.get("object") == made["token"]]
    equal(events, ["card.tokenize", "cvv.store"], "its entries")
    again = {"Idempotency-Key": "cvv-later"}
    for _ in range(2):
        answer = system.vault().post(f"/v1/tokens/{made['token']}/cvv", {"cvv": "123"},
                                     headers=again)
        equal(answer.status, 201, f"{answer!r}")
    outcomes = [one["outcome"] for one in system.audit() if one["event"] == "cvv.store" and
                one.get("object") == made["token"]]
    equal(outcomes, ["ok", "ok", "replayed"], "a repeat has its own")
    path = f"/v1/tokens/{made['token']}/cvv"
    problem(system.vault().post(path, {}), 422, "missing_field", "/cvv")
    problem(system.vault().post(path, {"cvv": "12"}), 422, "invalid_cvv", "/cvv")
    problem(system.vault().post(path, {"cvv": "123", "number": VISA}), 422, "unknown_field")


def one_token_a_card_is_a_tenant_s_choice(system):
    one, two = system.token(who="other"), system.token(who="other")
    equal(one["token"], two["token"], "the same card")
    check(system.token(MASTERCARD, who="other")["token"] != one["token"], "another card")
    check(system.token()["token"] != system.token()["token"], "a tenant without it")


def only_who_may_match_cards_sees_card_ids(system):
    one, two = system.token(who="other"), system.token(MASTERCARD, who="other")
    check(re.fullmatch(r"card_\w{22}", one["card_id"]), one["card_id"])
    check(one["card_id"] != two["card_id"], "two cards")
    check("card_id" not in system.token(), "not for the shop")


def paths_and_methods_that_are_not_there_are_named(system):
    problem(system.vault().get("/v1/nothing"), 404, "not_found")
    problem(system.vault().get("/v1/tokens"), 405, "method_not_allowed")
    problem(system.vault().request("PUT", "/v1/tokens/batch", {}), 405, "method_not_allowed")


def what_is_too_large_is_refused(system):
    # Announced only: a body under way when the server hangs up would meet a reset.
    problem(system.vault().post("/v1/tokens/batch", headers={
        "Content-Type": "application/json", "Content-Length": str(4 << 20)}), 413, "too_large")


def framing_that_two_could_read_differently_is_refused(system):
    answer = system.vault().post("/v1/tokens", b"0\r\n\r\n", headers={
        "Transfer-Encoding": "chunked", "Content-Length": "5",
        "Content-Type": "application/json"})
    problem(answer, 400, "invalid_framing")
    problem(system.vault().get("/v1/tokens/x", headers={"X-Long": "x" * 40000}), 431,
            "header_too_large")


def a_token_s_own_end_is_kept_to(system):
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    token = system.token(expires_at=end.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z")["token"]
    path = f"/v1/tokens/{token}"
    equal(system.vault().get(path).status, 200, "before its end")
    wait_until(lambda: system.vault().get(path).status != 200, "its end")
    problem(system.vault().get(path), 410, "expired")


def the_caller_s_request_id_is_kept_where_it_is_sane(system):
    answer = _post(system, headers={"Request-Id": "order-7.retry_1"})
    equal(answer.header("Request-Id"), "order-7.retry_1", "kept")
    answer = _post(system, headers={"Request-Id": VISA + " x"})
    check(re.fullmatch(r"req_\w+", answer.header("Request-Id")), "ours in its place")


def each_of_these_is_in_the_log_and_no_card_is(system):
    start = system.audit_size()
    made = system.token(cvv="123", cardholder_name="A. Example")
    system.vault().get(f"/v1/tokens/{made['token']}")
    system.vault().delete(f"/v1/tokens/{made['token']}")
    problem(_post(system, number="4242424242424241"), 422, "invalid_number")
    entries = [one for one in system.audit(start=start) if one["event"].startswith("card.")]
    equal([(one["event"], one["outcome"]) for one in entries],
          [("card.tokenize", "ok"), ("card.mask_read", "ok"), ("card.delete", "ok"),
           ("card.tokenize", "invalid_number")], "in order")
    equal({one["object"] for one in entries[:3]}, {made["token"]}, "about the token")
    for one in entries:
        equal((one["actor"], one["tenant"]), ("shop", "demo"), "who")
        check("Example" not in str(one), "no name")
