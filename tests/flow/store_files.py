# SPDX-License-Identifier: Apache-2.0
"""What stands in a store's files, read without RocksDB: tables block by block, logs record by
record, and everything else byte by byte."""
import os
import struct
import subprocess

TRAILER = 5       # Behind each block: how it is packed, and a checksum.
LOG_BLOCK = 32768
LOG_HEADER = 7
DELETION_OF_FAMILY, VALUE_OF_FAMILY = 4, 5
FOOTER = 53
MAGIC = 0x88e241b785f4cff7
TWO_LEVELS = b"\2\0\0\0"  # Of an index: one of parts.


def _varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _block(data, handle):
    """A block's entries: (key, value), where keys leave out what they share with the one before."""
    offset, size = handle
    if data[offset + size] != 0:
        raise AssertionError("a block is packed: nothing could be found in it")
    body = data[offset:offset + size]
    restarts = struct.unpack_from("<I", body, size - 4)[0] & 0x7fffffff
    end, at, key = size - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = _varint(body, at)
        own, at = _varint(body, at)
        length, at = _varint(body, at)
        key = key[:shared] + body[at:at + own]
        at += own
        yield key, body[at:at + length]
        at += length


def _handle(data, at=0):
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _index(data, handle):
    """An index leaves out the sizes of its values, which are handles."""
    offset, size = handle
    body = data[offset:offset + size]
    restarts = struct.unpack_from("<I", body, size - 4)[0] & 0x7fffffff
    end, at = size - 4 - 4 * restarts, 0
    while at < end:
        shared, at = _varint(body, at)
        if shared:
            raise AssertionError("an index of another form")
        own, at = _varint(body, at)
        found, at = _handle(body, at + own)
        yield found


class Unfinished(Exception):
    """A table that is just being written."""


def table(path):
    """(family, {key: [value]}) of everything in a table, marks of deletions among it."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < FOOTER or struct.unpack_from("<Q", data, len(data) - 8)[0] != MAGIC:
        raise Unfinished(path)
    meta, at = _handle(data, len(data) - FOOTER + 1)
    index, _ = _handle(data, at)
    properties = {}
    for key, value in _block(data, meta):
        if key == b"rocksdb.properties":
            properties = dict(_block(data, _handle(value)[0]))
    rows = {}
    handles = list(_index(data, index))
    if properties[b"rocksdb.block.based.table.index.type"] == TWO_LEVELS:
        handles = [handle for part in handles for handle in _index(data, part)]
    for handle in handles:
        for key, value in _block(data, handle):
            rows.setdefault(key[:-8], []).append(value)
    return properties[b"rocksdb.column.family.name"].decode(), rows


def log_bytes(path):
    """A log's records joined, without the headers between its blocks."""
    with open(path, "rb") as file:
        data = file.read()
    out, at = b"", 0
    while at + LOG_HEADER <= len(data):
        if LOG_BLOCK - at % LOG_BLOCK < LOG_HEADER:
            at += LOG_BLOCK - at % LOG_BLOCK
            continue
        length = struct.unpack_from("<H", data, at + 4)[0]
        out += data[at + LOG_HEADER:at + LOG_HEADER + length]
        at += LOG_HEADER + length
    return out


def files(*folders):
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                yield os.path.join(where, name)


def _read(path):
    """A log's records are broken up by headers: they are searched joined, and as they lie."""
    with open(path, "rb") as file:
        data = file.read()
    return data + log_bytes(path) if path.endswith(".log") else data


def markers_found(markers, *folders):
    """{marker: file} of those that stand in any file."""
    found = {}
    for path in files(*folders):
        try:
            data = _read(path)
        except FileNotFoundError:
            continue  # A store at work takes files away.
        found.update({marker: path for marker in markers if marker in data})
    return found


def keys_found(keys, family, number, *folders):
    """{key: file} of a family's keys in tables, also as marks of deletions, and in logs, where a
    family is a number.  A table that is not finished may hold any."""
    found = {}
    for path in files(*folders):
        try:
            if path.endswith(".sst"):
                whose, rows = table(path)
                found.update({key: path for key in keys if whose == family and key in rows})
            elif path.endswith(".log"):
                data = log_bytes(path)
                found.update({key: path for key in keys for tag in
                              (DELETION_OF_FAMILY, VALUE_OF_FAMILY)
                              if bytes([tag, number, len(key)]) + key in data})
        except FileNotFoundError:
            continue
        except Unfinished:
            found.update({key: path for key in keys})
    return found


def raw_rows(build, store, family):
    """{key: value} of a family as RocksDB gives it, in bytes."""
    for attempt in range(20):
        done = subprocess.run([os.path.join(build, "raw_rows"), "list", store, family],
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            break
        # A store at work takes files away between its manifest's being read and theirs.
        if attempt == 19 or "No such file or directory" not in done.stderr:
            raise AssertionError(f"raw_rows list: {done.stderr}")
    pairs = (line.split(" ") for line in done.stdout.splitlines())
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in pairs}


def raw_change(build, *words):
    done = subprocess.run([os.path.join(build, "raw_rows"), *words], capture_output=True,
                          text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"raw_rows {words[0]}: {done.stderr}")


def raw_delete(build, store, family, key):
    raw_change(build, "delete", store, family, key.hex())


def raw_put(build, store, family, key, value):
    raw_change(build, "put", store, family, key.hex(), value.hex())
