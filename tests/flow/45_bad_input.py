# SPDX-License-Identifier: Apache-2.0
"""Bad input, as data: each file of bad_input/ is a table of cases, and cases.py says what is asked
of every one of them.
"""
from cases import Table, World
from gateways import add_destinations, make_certificates

_worlds = {}
_gateways = {}


def prepare(system):
    make_certificates(system)
    _gateways.update(add_destinations(system))


def _ask(system, name):
    if system not in _worlds:
        _worlds[system] = World(system)
    Table(_worlds[system], name, _gateways).run()


def bodies_that_are_no_json_or_no_card_are_refused(system):
    _ask(system, "vault_json.yaml")


def fields_are_refused_by_name_one_beyond_their_limits(system):
    _ask(system, "vault_fields.yaml")


def numbers_dates_and_codes_that_no_card_has_are_refused(system):
    _ask(system, "vault_cards.yaml")


def what_stands_around_a_body_is_refused_as_exactly(system):
    _ask(system, "vault_requests.yaml")


def framing_that_two_readers_could_understand_differently_ends_the_connection(system):
    _ask(system, "framing.yaml")


def tokens_that_are_not_understood_or_stand_elsewhere_send_nothing(system):
    _ask(system, "relay_slots.yaml")


def paths_headers_and_keys_lead_nowhere_but_to_their_gateway(system):
    _ask(system, "relay_requests.yaml")


def callers_who_cannot_show_who_they_are_get_nothing(system):
    _ask(system, "callers.yaml")


def gateways_that_answer_nonsense_or_are_not_themselves_are_told_apart(system):
    _ask(system, "gateways.yaml")


def what_is_too_large_is_answered_though_its_client_sends_on(system):
    _ask(system, "sizes.yaml")


def all_of_it_is_refused_over_http2_by_the_same_codes(system):
    for name in ("vault_json", "vault_fields", "vault_cards", "vault_requests", "relay_slots",
                 "relay_requests", "callers", "sizes"):
        Table(_worlds[system], f"{name}.yaml", _gateways).run_by_frames()
