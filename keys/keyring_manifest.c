/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest is: version u8 | generation u64 | count of keys u64 | sums | MAC of the rows | MAC
 * of all before it.
 *
 * The MAC of the rows is over one MAC for each page of rows, and each of those over the rows' own:
 * a changed row costs a page and not the store.  It decides.  The sums only say where: the first is
 * the XOR of all rows' MACs, and one more for each bit of an id is the XOR of those whose id has
 * that bit.  Where one row is not as it was, its id can be read from which sums differ, as in a
 * Hamming code. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

#define MANIFEST_VERSION    2u
#define MANIFEST_HEAD_BYTES (1u + 8u + 8u)
#define MANIFEST_BYTES      (MANIFEST_HEAD_BYTES + KEYRING_SUMS_BYTES + 2u * KEYRING_MAC_BYTES)

static_assert(MANIFEST_BYTES <= KEYRING_ROW_BYTES_MAX, "a manifest is a row");
static_assert(KEYRING_KEYS_MAX < 1u << (KEYRING_SUMS - 1), "every id has its bits");

/* First byte of everything under the manifest key, so that no MAC can stand for another. */
enum mac_domain { MAC_ROW = 1, MAC_PAGE = 2, MAC_ROWS = 3, MAC_MANIFEST = 4 };

STATUS keyring_row_mac(struct kdf *manifest, const uint8_t *row, size_t row_size,
                       uint8_t mac[static KEYRING_MAC_BYTES])
{
    const uint8_t domain = MAC_ROW;
    return kdf_hmac(manifest, &domain, sizeof domain, row, row_size, mac);
}

void keyring_sums_toggle(struct keyring *ring, uint64_t id, const uint8_t *mac)
{
    for (unsigned i = 0; i < KEYRING_SUMS; i++) {
        if (i > 0 && (id >> (i - 1) & 1) == 0)
            continue;
        for (unsigned at = 0; at < KEYRING_SUM_BYTES; at++)
            ring->sums[i][at] ^= mac[at];
    }
}

uint64_t keyring_manifest_suspect(const struct keyring *ring,
                                  const struct keyring_manifest *manifest)
{
    const uint8_t *expected = manifest->sums;
    uint8_t differences[KEYRING_SUMS][KEYRING_SUM_BYTES];
    uint64_t id = 0;

    for (unsigned i = 0; i < KEYRING_SUMS; i++) {
        for (unsigned at = 0; at < KEYRING_SUM_BYTES; at++)
            differences[i][at] = ring->sums[i][at] ^ expected[i * KEYRING_SUM_BYTES + at];
    }
    for (unsigned i = 1; i < KEYRING_SUMS; i++) {
        if (sodium_is_zero(differences[i], KEYRING_SUM_BYTES))
            continue;
        if (memcmp(differences[i], differences[0], KEYRING_SUM_BYTES) != 0)
            return 0;
        id |= UINT64_C(1) << (i - 1);
    }
    return id;
}

STATUS keyring_page_touch(struct keyring *ring, size_t entry_index)
{
    size_t page = entry_index / KEYRING_PAGE_KEYS;
    size_t macs_capacity = ring->page_capacity;
    size_t stale_capacity = ring->page_capacity;
    void *macs = ring->page_macs;
    void *stale = ring->page_stale;

    assert(page <= ring->page_count);
    struct status status = keyring_grow(&macs, sizeof *ring->page_macs, page + 1, &macs_capacity);
    ring->page_macs = macs;
    TRY(status);
    status = keyring_grow(&stale, sizeof *ring->page_stale, page + 1, &stale_capacity);
    ring->page_stale = stale;
    TRY(status);
    ring->page_capacity = stale_capacity;
    if (page == ring->page_count)
        ring->page_count++;
    ring->page_stale[page] = true;
    return STATUS_OK;
}

static STATUS page_refresh(struct keyring *ring, size_t page)
{
    const uint8_t domain = MAC_PAGE;
    uint8_t macs[KEYRING_PAGE_KEYS * KEYRING_MAC_BYTES];
    size_t first = page * KEYRING_PAGE_KEYS;
    size_t count = 0;

    while (count < KEYRING_PAGE_KEYS && first + count < ring->entry_count) {
        memcpy(macs + count * KEYRING_MAC_BYTES, ring->entries[first + count].mac,
               KEYRING_MAC_BYTES);
        count++;
    }
    TRY(kdf_hmac(ring->manifest_kdf, &domain, sizeof domain, macs, count * KEYRING_MAC_BYTES,
                 ring->page_macs[page]));
    ring->page_stale[page] = false;
    return STATUS_OK;
}

/* The MAC of the rows, over those of all pages. */
static STATUS rows_mac(struct keyring *ring, uint8_t mac[static KEYRING_MAC_BYTES])
{
    const uint8_t domain = MAC_ROWS;

    for (size_t page = 0; page < ring->page_count; page++) {
        if (ring->page_stale[page])
            TRY(page_refresh(ring, page));
    }
    return kdf_hmac(ring->manifest_kdf, &domain, sizeof domain, ring->page_macs,
                    ring->page_count * KEYRING_MAC_BYTES, mac);
}

/* Of all but itself, the last thing in the row. */
static STATUS manifest_mac(struct keyring *ring, const uint8_t *row,
                           uint8_t mac[static KEYRING_MAC_BYTES])
{
    const uint8_t domain = MAC_MANIFEST;
    return kdf_hmac(ring->manifest_kdf, &domain, sizeof domain, row,
                    MANIFEST_BYTES - KEYRING_MAC_BYTES, mac);
}

STATUS keyring_manifest_make(struct keyring *ring, uint64_t generation,
                             uint8_t row[static KEYRING_ROW_BYTES_MAX], size_t *out_size)
{
    OWNED(buffer_free) struct buffer out = BUFFER(KEYRING_ROW_BYTES_MAX);
    uint8_t mac[KEYRING_MAC_BYTES];

    TRY(rows_mac(ring, mac));
    buffer_add_u8(&out, MANIFEST_VERSION);
    buffer_add_u64(&out, generation);
    buffer_add_u64(&out, ring->entry_count);
    buffer_add(&out, ring->sums, sizeof ring->sums);
    buffer_add(&out, mac, sizeof mac);
    TRY(buffer_status(&out));
    assert(out.size == MANIFEST_BYTES - KEYRING_MAC_BYTES);
    memcpy(row, out.bytes, out.size);
    TRY(manifest_mac(ring, row, row + out.size));
    *out_size = MANIFEST_BYTES;
    return STATUS_OK;
}

STATUS keyring_manifest_read(struct keyring *ring, struct keyring_manifest *out_manifest)
{
    uint8_t mac[KEYRING_MAC_BYTES];

    ENSURE(ring->manifest_size == MANIFEST_BYTES, WHY_FORGED);
    TRY(manifest_mac(ring, ring->manifest, mac));
    ENSURE(sodium_memcmp(mac, ring->manifest + MANIFEST_BYTES - sizeof mac, sizeof mac) == 0,
           WHY_FORGED);
    struct cursor cursor = cursor_over(ring->manifest, MANIFEST_BYTES - sizeof mac);
    ENSURE(cursor_u8(&cursor) == MANIFEST_VERSION, WHY_FORGED);
    out_manifest->generation = cursor_u64(&cursor);
    out_manifest->count = cursor_u64(&cursor);
    out_manifest->sums = cursor_bytes(&cursor, KEYRING_SUMS_BYTES);
    out_manifest->rows_mac = cursor_bytes(&cursor, KEYRING_MAC_BYTES);
    ENSURE(cursor_done(&cursor), WHY_FORGED);
    return STATUS_OK;
}

STATUS keyring_manifest_check(struct keyring *ring)
{
    struct keyring_manifest manifest = {0};
    uint8_t mac[KEYRING_MAC_BYTES];

    TRY(keyring_manifest_read(ring, &manifest));
    ENSURE(manifest.count == ring->entry_count, WHY_FORGED);
    TRY(rows_mac(ring, mac));
    ENSURE(sodium_memcmp(mac, manifest.rows_mac, sizeof mac) == 0, WHY_FORGED);
    ring->generation = manifest.generation;
    return STATUS_OK;
}
