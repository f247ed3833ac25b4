# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by vault/quickstart and tests/run: what they need of Debian 12, and how a step is shown.
#
# A line is: the package; a command that comes with it, or - where only dpkg knows; what it is for.

packages_build='
gcc                  gcc         the compiler
libc6-dev            -           its headers
cmake                cmake       reads CMakeLists.txt
ninja-build          ninja       builds in parallel
pkgconf              pkg-config  finds the libraries below
libssl-dev           -           TLS, X.509, AES-GCM, HMAC
libsodium-dev        -           guarded memory, Ed25519
librocksdb-dev       -           the store
libh2o-evloop-dev    -           the HTTP server
libyaml-dev          -           configuration
libseccomp-dev       -           filters of system calls
libp11-kit-dev       -           the header of PKCS#11, for modules of HSMs
libjansson-dev       -           JSON that never holds a card
curl                 curl        what a person tries the vault with
'
packages_tests='
libcriterion-dev     -           unit tests
libcurl4-openssl-dev -           their HTTP client
libnghttp2-dev       -           HTTP/2 for the load of tests/bench
clang                clang       fuzz targets, and a second opinion
libclang-rt-14-dev   -           its libFuzzer and sanitizers
llvm                 llvm-symbolizer  names in the stacks that sanitizers print
softhsm2             softhsm2-util  an HSM in software
python3              python3     tests/tidy and tests/flow
python3-yaml         -           reads the OpenAPI documents
openssl              openssl     makes the certificates that must be refused
nodejs               node        runs the SDK of a gateway
npm                  npm         fetches it
'
packages_bench='
postgresql-15        -           what tokenizing is measured beside
nginx-light          nginx       what the relay is measured beside
'

packages_missing() { # The list's packages that are missing, one a line.
    local name probe
    while read -r name probe _; do
        [ -n "$name" ] || continue
        if [ "$probe" != - ]; then
            command -v "$probe" >/dev/null || echo "$name"
        elif ! dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii'; then
            echo "$name"
        fi
    done <<<"$1"
}

packages_install() { # Names.
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "Not root, and there is no sudo; have these installed: $*"
            return 1
        }
        as_root=(sudo)
    fi
    local quietly=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
    "${as_root[@]}" "${quietly[@]}" update &&
        "${as_root[@]}" "${quietly[@]}" install --no-install-recommends "$@"
}

packages_ensure() { # The lists, as one text; says how many it installs.
    local missing
    command -v apt-get >/dev/null || {
        echo "There is no apt-get here; the scripts know Debian 12, vault/packages.sh has the list."
        return 1
    }
    missing=$(packages_missing "$1")
    # Words on purpose: package names have no spaces.
    # shellcheck disable=SC2086
    [ -z "$missing" ] || packages_install $missing
}

# step "what" LOG command…: the command's output goes to LOG; a dot each two seconds is the sign of
# life; then the seconds it took.  Where it fails, the log's end and its place are shown.
step() {
    local what=$1 log=$2 ticker status=0 began=$SECONDS
    shift 2
    printf '%s ' "$what"
    # It ends by itself where this shell is gone.
    while sleep 2 && kill -0 $$ 2>/dev/null; do printf .; done &
    ticker=$!
    "$@" >"$log" 2>&1 || status=$?
    kill "$ticker" 2>/dev/null
    wait "$ticker" 2>/dev/null || true
    if [ "$status" = 0 ]; then
        echo " $((SECONDS - began)) s"
        return 0
    fi
    echo " failed"
    tail -n 30 "$log"
    echo "All of it: $log"
    return "$status"
}

# build_tree FOLDER TARGETS… -- CMAKE-OPTIONS…: configures and builds; without targets, everything.
build_tree() {
    local folder=$1 targets=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        targets+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    cmake -G Ninja -S . -B "$folder" "$@" && ninja -C "$folder" "${targets[@]}"
}
