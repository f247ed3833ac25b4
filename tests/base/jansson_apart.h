/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/jansson_apart.h -- Jansson beside base/json.h, whose names it shares.  Its macros that
 * ask for a type would read ours: compare `->type` with JANSSON_… instead. */
#ifndef TESTS_BASE_JANSSON_APART_H
#define TESTS_BASE_JANSSON_APART_H

#define JSON_NULL   JANSSON_NULL
#define JSON_FALSE  JANSSON_FALSE
#define JSON_TRUE   JANSSON_TRUE
#define JSON_STRING JANSSON_STRING
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_OBJECT JANSSON_OBJECT
#define json_string jansson_string
#include <jansson.h>
#undef JSON_NULL
#undef JSON_FALSE
#undef JSON_TRUE
#undef JSON_STRING
#undef JSON_ARRAY
#undef JSON_OBJECT
#undef json_string

#endif
