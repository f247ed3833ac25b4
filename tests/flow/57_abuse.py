# SPDX-License-Identifier: Apache-2.0
"""What one bad client can do to everybody else: nothing that they would notice.

Each test is an attack upon one of the daemons; a soak goes on with two of them at once, by chance.
Held to be true of all: a neighbour keeps four fifths of what it had, memory and log stay within
bounds, and when it is over no connection is left.
"""
import http.client
import inspect
import os
import random

from harness import check, equal, wait_until

import attacks
from neighbour import MIB, OWN_COUNT, Attack, Neighbour, endure, meter
from rounds import rounds

SOAK = True
ALONE = True  # It measures.
MEMORY_MAX = 48 * MIB
# Bodies on their way in have 128 MiB together, and a buffer is at most twice as large as its body.
TRANSIT_MEMORY_MAX = 320 * MIB

_neighbours = {}
_before = {}


def _neighbour(system, daemon):
    if daemon not in _neighbours:
        token = system.token()["token"]
        _before[daemon] = meter(system, daemon, "connections_open")
        _neighbours[daemon] = Neighbour(system, daemon, token)
        wait_until(lambda: _neighbours[daemon].done.value > 100, "it is being served")
    return _neighbours[daemon]


def _endure(system, daemon, attack, ended=None, memory_max=MEMORY_MAX, **more):
    """ended: the attacker is hung up upon (True) or not (False)."""
    neighbour = _neighbour(system, daemon)
    wrong = neighbour.wrong.value
    figures = endure(system, daemon, neighbour, attack, **more)
    check(figures.memory <= memory_max, f"memory: {figures}")
    equal(neighbour.wrong.value, wrong, "refused or lost requests of the neighbour")
    if ended is not None:
        equal(figures.ended > 0, ended, f"whether the attacker was ended: {figures}")


# ---- Resets (CVE-2023-44487) ----

def resets_of_whole_requests_are_ended(system):
    _endure(system, "vault", attacks.resets_of_whole_requests, True)


def resets_of_requests_that_never_become_whole_are_ended(system):
    _endure(system, "relay", attacks.resets_of_requests_that_never_become_whole, True)


def resets_inside_a_header_block_are_ended(system):
    _endure(system, "vault", attacks.resets_inside_a_header_block, True)


# ---- Frames that carry nothing ----

def pings_are_ended(system):
    _endure(system, "relay", attacks.pings, True)


def pings_of_the_deaf_are_ended(system):
    _endure(system, "vault", attacks.pings_of_the_deaf, True)


def settings_are_ended(system):
    _endure(system, "relay", attacks.settings, True)


def settings_of_the_deaf_are_ended(system):
    _endure(system, "vault", attacks.settings_of_the_deaf, True)


def acks_of_no_settings_are_ended(system):
    _endure(system, "relay", attacks.acks_of_no_settings, True)


def empty_data_is_ended(system):
    _endure(system, "vault", attacks.empty_data, True)


def padding_hurts_nobody(system):
    _endure(system, "relay", attacks.padding)


def empty_headers_are_ended(system):
    _endure(system, "vault", attacks.empty_headers, True)


def empty_continuations_are_ended(system):
    _endure(system, "relay", attacks.empty_continuations, True)


def continuations_without_end_are_ended(system):
    _endure(system, "vault", attacks.continuations_without_end, True)


def trailers_without_end_are_ended(system):
    _endure(system, "relay", attacks.trailers_without_end, True)


def frames_of_no_known_type_are_ended_and_do_not_fill_the_log(system):
    _endure(system, "vault", attacks.frames_of_no_known_type, True)


def priorities_are_ended(system):
    _endure(system, "relay", attacks.priorities, True)


def a_stream_on_itself_is_ended(system):
    _endure(system, "vault", attacks.a_stream_on_itself, True)


# ---- Windows ----

def windows_opened_by_nothing_are_ended(system):
    _endure(system, "relay", attacks.windows_opened_by_nothing, True)


def streams_windows_opened_by_nothing_are_ended(system):
    _endure(system, "vault", attacks.streams_windows_opened_by_nothing, True)


def windows_that_overflow_are_ended(system):
    _endure(system, "relay", attacks.windows_that_overflow, True)


def windows_opened_byte_by_byte_hurt_nobody(system):
    _endure(system, "vault", attacks.windows_opened_byte_by_byte, who="auditor")


def windows_that_stay_shut_hurt_nobody(system):
    _endure(system, "relay", attacks.windows_that_stay_shut, who="auditor")


def bytes_behind_the_end_are_not_kept(system):
    _endure(system, "vault", attacks.bytes_behind_the_end, True, who="auditor")


# ---- Connections ----

def more_connections_than_there_may_be_hurt_nobody_who_is_there(system):
    _endure(system, "relay", attacks.connections_that_say_nothing)


def who_comes_when_all_places_are_taken_gets_one(system):
    cut = meter(system, "vault", "connections_cut_total")
    shed = meter(system, "vault", "connections_shed_total")
    running = Attack(system, "vault", attacks.connections_that_say_nothing, "other", 100)
    try:
        wait_until(lambda: meter(system, "vault", "connections_shed_total") > shed,
                   "all are taken")

        def come():
            try:
                return system.vault().get("/v1/tokens/tok_test_none").status == 404
            except (OSError, http.client.HTTPException):
                return False
        wait_until(come, "there is a place")
        check(meter(system, "vault", "connections_cut_total") > cut, "somebody made room")
    finally:
        running.end()


def handshakes_hurt_nobody(system):
    _endure(system, "vault", attacks.handshakes)


def connections_that_go_at_once_hurt_nobody(system):
    _endure(system, "relay", attacks.connections_that_go_at_once)


def hellos_that_go_at_once_hurt_nobody(system):
    _endure(system, "vault", attacks.hellos_that_go_at_once)


def keys_that_change_all_the_time_are_ended(system):
    _endure(system, "relay", attacks.keys_that_change_all_the_time, True, bursts_per_second=1000)


def handshakes_anew_on_one_connection_are_ended(system):
    _endure(system, "vault", attacks.handshakes_anew_on_one_connection, True)


# ---- Much of what is allowed ----

def streams_over_the_limit_are_ended(system):
    _endure(system, "relay", attacks.streams_over_the_limit, True)


def streams_at_the_limit_hurt_nobody(system):
    _endure(system, "vault", attacks.streams_at_the_limit)


def headers_out_of_a_table_stay_within_bounds(system):
    _endure(system, "relay", attacks.headers_out_of_a_table, memory_max=TRANSIT_MEMORY_MAX)


def tables_that_grow_stay_within_bounds(system):
    _endure(system, "vault", attacks.tables_that_grow)


def heads_without_end_are_ended(system):
    _endure(system, "relay", attacks.heads_without_end, True)


def requests_in_a_row_hurt_nobody(system):
    _endure(system, "vault", attacks.requests_in_a_row)


def chunks_of_one_byte_hurt_nobody(system):
    _endure(system, "relay", attacks.chunks_of_one_byte)


def a_chunk_s_extension_without_end_hurts_nobody(system):
    _endure(system, "vault", attacks.a_chunk_s_extension_without_end)


def chunked_trailers_without_end_hurt_nobody(system):
    _endure(system, "relay", attacks.chunked_trailers_without_end)


def bodies_without_end_stay_within_bounds(system):
    _endure(system, "vault", attacks.bodies_without_end, memory_max=TRANSIT_MEMORY_MAX,
            bursts_per_second=120, length_s=2)


# ---- Slow ones, all at one time: each has ten seconds ----

def those_who_take_their_time_are_ended_when_it_is_over(system):
    _endure(system, "relay", attacks.all_that_are_slow, True, bursts_per_second=300, length_s=12.5)


def any_two_of_them_at_once_hurt_nobody_either(system):
    kinds = [one for name, one in vars(attacks).items()
             if inspect.isfunction(one) and list(inspect.signature(one).parameters) == ["to"] and
             one is not attacks.all_that_are_slow]
    dice = random.Random(os.urandom(8))
    for number in rounds(2):
        two = dice.sample(kinds, 2)
        _endure(system, ("vault", "relay")[number % 2], attacks.both(*two),
                memory_max=2 * TRANSIT_MEMORY_MAX, who=dice.choice(["other", "auditor"]))


def in_the_end_no_connection_is_left(system):
    for daemon, one in _neighbours.items():
        one.end()
        wait_until(lambda daemon=daemon: meter(system, daemon, "connections_open") <=
                   _before[daemon] + OWN_COUNT, f"none but those of before at the {daemon}")
