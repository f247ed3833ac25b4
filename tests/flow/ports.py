# SPDX-License-Identifier: Apache-2.0
"""Ports of the loopback for systems, below those that the kernel hands out."""
import random
import socket

numbers = range(20000, 32000)


def use_lane(lane):
    """Another system is made beside: each has a thousand ports of its own."""
    global numbers  # pylint: disable=global-statement
    numbers = range(20000 + 1000 * lane, 20990 + 1000 * lane)


def take(count):
    """The first of `count` neighbours that are free, below the ports that systems hand out."""
    while True:
        base = random.choice(numbers)
        held = []
        try:
            for port in range(base, base + count):
                held.append(socket.socket())
                held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held[-1].bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
