/* SPDX-License-Identifier: Apache-2.0 */
/* vault/contract.h -- what both daemons and the command line must spell alike: paths, codes,
 * limits.
 *
 * In      nothing.
 * Out     constants. This is the only header of vault/ that relay/ may include; it has no
 *         functions.
 * Never   declares a function or a struct.
 * Threads any.
 */
#ifndef VAULT_CONTRACT_H
#define VAULT_CONTRACT_H

#define CONTRACT_PATH_TOKENS      "/v1/tokens"
#define CONTRACT_PATH_BATCH       "/v1/tokens/batch"
#define CONTRACT_PATH_LEASES      "/v1/leases"
#define CONTRACT_PATH_SETTLEMENTS "/v1/settlements"
/* Both daemons: GET with the right audit.read.  Checkpoint: the newest signed note (text/plain).
 * Entries: ?start=N&limit=M (1-256) -> {"size": committed, "start": N, "entries": ["<entry bytes as
 * a JSON string>", …], "checkpoints": ["<note>", …]} with the notes whose size lies in (start,
 * start + entries]. */
#define CONTRACT_PATH_AUDIT_CHECKPOINT "/v1/audit/checkpoint"
#define CONTRACT_PATH_AUDIT_ENTRIES    "/v1/audit/entries"
#define CONTRACT_AUDIT_ENTRIES_MAX     256u
/* Both daemons, with the right backup.create: POST begins a backup (202), GET says how it goes. */
#define CONTRACT_PATH_BACKUPS "/v1/backups"

/* The vault's, for its security team. */
#define CONTRACT_PATH_SEAL      "/v1/seal"
#define CONTRACT_PATH_APPROVALS "/v1/approvals"
#define CONTRACT_PATH_KEYS      "/v1/keys"
#define CONTRACT_PATH_INVENTORY "/v1/inventory"
#define CONTRACT_PATH_SIGNER    "/v1/signer"
#define CONTRACT_PATH_ROTATIONS "/v1/rotations"
#define CONTRACT_PATH_JOBS      "/v1/jobs"
#define CONTRACT_PATH_ERASURES  "/v1/erasures"
#define CONTRACT_PATH_RETENTION "/v1/retention"

/* In answers to leases and settlements once the vault went on from an older store (epoch.h): its
 * epoch in decimal, a space, and from where to where, for the relay's log. */
#define CONTRACT_HEADER_EPOCH        "cardkeep-log-epoch"

#define CONTRACT_BATCH_CARDS_MAX     1000u
#define CONTRACT_LEASES_MAX          64u
#define CONTRACT_LEASE_TOKENS_MAX    8u
#define CONTRACT_METADATA_KEYS_MAX   16u
#define CONTRACT_METADATA_KEY_MAX    40u
#define CONTRACT_METADATA_VALUE_MAX  500u
#define CONTRACT_NAME_MAX            128u /* cardholder_name, bytes of UTF-8 */
#define CONTRACT_PURCHASE_MAX        128u
#define CONTRACT_IDEMPOTENCY_KEY_MAX 255u
#define CONTRACT_TOKEN_MAX           64u /* characters of any token */
#define CONTRACT_PAN_DIGITS_MIN      12u
#define CONTRACT_PAN_DIGITS_MAX      19u

/* Tokens: prefix, 22 characters of base62 (128 bits that look drawn), 4 check characters: see
 * vault/token.h.  Live vaults have no "test_". */
#define CONTRACT_TOKEN_PREFIX "tok_"
#define CONTRACT_CVV_PREFIX   "cvv_"
#define CONTRACT_TEST_INFIX   "test_"

/* Relays name their submissions so that the names count with time: random_ordered_id() of
 * base/encode.h.  The vault takes any name. */
#define CONTRACT_SUBMISSION_PREFIX "sub_"

/* Every error code: name, HTTP status, code, title (interfaces.md 1). */
#define CONTRACT_PROBLEMS(X)                                                                       \
    X(INVALID_JSON, 400, "invalid_json", "The body is not valid JSON.")                            \
    X(INVALID_HEADER, 400, "invalid_header", "A header is not valid.")                             \
    X(INVALID_FRAMING, 400, "invalid_framing", "The request's framing is not valid.")              \
    X(INVALID_EXPRESSION, 400, "invalid_expression", "A placeholder is not valid.")                \
    X(UNKNOWN_PRINCIPAL, 401, "unknown_principal", "The caller is not known.")                     \
    X(DENIED, 403, "denied", "A policy does not allow this.")                                      \
    X(NOT_FOUND, 404, "not_found", "There is no such thing.")                                      \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "This path does not take this method.")       \
    X(DEADLINE, 408, "deadline", "The request took too long.")                                     \
    X(IDEMPOTENCY_CONFLICT, 409, "idempotency_conflict",                                           \
      "This idempotency key was used with another request.")                                       \
    X(IN_DOUBT, 409, "in_doubt", "An earlier request with this key may have been carried out.")    \
    X(STATE_CONFLICT, 409, "state_conflict", "The state does not allow this.")                     \
    X(ERASED, 410, "erased", "The token was erased.")                                              \
    X(EXPIRED, 410, "expired", "The token has expired.")                                           \
    X(TOKEN_CONSUMED, 410, "token_consumed", "The single-use token was used.")                     \
    X(CVV_CONSUMED, 410, "cvv_consumed", "The CVV was used; ask the cardholder again.")            \
    X(CVV_EXPIRED, 410, "cvv_expired", "The CVV has expired; ask the cardholder again.")           \
    X(CVV_LOST, 410, "cvv_lost", "The CVV was lost in a restart; ask the cardholder again.")       \
    X(TOO_LARGE, 413, "too_large", "The request is too large.")                                    \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported_media_type",                                       \
      "This content type is not taken here.")                                                      \
    X(MISSING_FIELD, 422, "missing_field", "A field is missing.")                                  \
    X(UNKNOWN_FIELD, 422, "unknown_field", "A field is not known.")                                \
    X(INVALID_FIELD, 422, "invalid_field", "A field is not valid.")                                \
    X(INVALID_NUMBER, 422, "invalid_number", "The card number is not valid.")                      \
    X(INVALID_EXPIRY, 422, "invalid_expiry", "The expiry date is not valid.")                      \
    X(INVALID_CVV, 422, "invalid_cvv", "The CVV is not valid.")                                    \
    X(TRACK_DATA_REFUSED, 422, "track_data_refused", "Track and PIN data are never taken.")        \
    X(CARD_IN_FREE_TEXT, 422, "card_in_free_text", "A card number stands where none may.")         \
    X(TOKEN_OUTSIDE_SLOT, 422, "token_outside_slot", "A token stands outside a declared slot.")    \
    X(UNKNOWN_DESTINATION, 422, "unknown_destination", "There is no such destination.")            \
    X(RATE_LIMITED, 429, "rate_limited", "Too many requests.")                                     \
    X(HEADER_TOO_LARGE, 431, "header_too_large", "The headers are too large.")                     \
    X(GATEWAY_UNREACHABLE, 502, "gateway_unreachable", "The gateway gave no answer.")              \
    X(GATEWAY_TLS, 502, "gateway_tls", "The gateway's TLS could not be trusted.")                  \
    X(GATEWAY_MALFORMED, 502, "gateway_malformed", "The gateway's answer was not HTTP.")           \
    X(SEALED, 503, "sealed", "The vault is sealed.")                                               \
    X(BUSY, 503, "busy", "Too much is under way; try again.")                                      \
    X(STORE_UNAVAILABLE, 503, "store_unavailable", "The store takes no writes.")                   \
    X(AUDIT_UNAVAILABLE, 503, "audit_unavailable", "The audit log takes no entries.")              \
    X(VAULT_UNAVAILABLE, 503, "vault_unavailable", "The vault cannot be reached.")                 \
    X(GATEWAY_TIMEOUT, 504, "gateway_timeout", "The gateway did not answer in time.")              \
    X(KEY_SUSPENDED, 503, "key_suspended",                                                         \
      "The card's key is held back until the security team has decided about it.")                 \
    X(KEY_COMPROMISED, 503, "key_compromised",                                                     \
      "The card's key is compromised; the card opens again once it is sealed under another.")

#define CONTRACT_PROBLEM_ENUM(name, status, code, title) PROBLEM_##name,
enum problem_code { PROBLEM_NONE = 0, CONTRACT_PROBLEMS(CONTRACT_PROBLEM_ENUM) PROBLEM_COUNT };

#endif
