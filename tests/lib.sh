# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# lib.sh: what the tests of the whole program share; a test sources it. Their arguments are
#     PROGRAM RANKS [MPIEXEC FLAG [...]]        RANKS 0: without a launcher
# A test works in a directory of its own, which goes with it. What a job wrote is in `out` and `err` there,
# its exit code in $code. The first thing that is not as it should be ends the test and is shown.
set -u
LC_ALL=C
export LC_ALL
lockstep=$1 ranks=$2 mpiexec=${3:-} flag=${4:-}
tests=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
golden=$tests/golden
here=$(mktemp -d) || exit 1
cd "$here" || exit 1
job=
trap 'end_job; cd / && rm -rf "$here"' EXIT
trap 'exit 1' HUP INT TERM
# What a launcher leaves after a hard end goes with the test too. Open MPI waits a second before it ends a
# job in which a rank failed; the tests of threads set their own number of them.
export TMPDIR="$here" OMPI_MCA_odls_base_sigkill_timeout=0 OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

fail() {
    {
        printf 'not as it should be: %s\n' "$*"
        [ -z "${command:-}" ] || printf '=== %s\n' "$command (exit ${code:-?})"
        for file in out err; do [ ! -s $file ] || { printf '=== %s\n' $file && tail -c 4000 $file; }; done
    } >&2
    exit 1
}

# Seconds after which a job counts as hung. Nothing here takes half as long on a busy machine.
: "${limit:=30}"

# launch RANKS COMMAND...: a job on that many ranks, 0 without the launcher
launch() {
    count=$1 command="$*"
    shift
    [ "$count" = 0 ] || set -- "$mpiexec" "$flag" "$count" "$@"
    timeout -k 5 "$limit" "$@" >out 2>err </dev/null
    code=$?
    [ $code -ne 124 ] && [ $code -ne 137 ] || fail "hangs"
}

# run ARGUMENT...: the program on the test's ranks
run() { launch "$ranks" "$lockstep" "$@"; }

# in_tree RANKS ARGUMENT...: the program at the top of the source tree, where the configs look for their data
in_tree() {
    count=$1
    shift
    # shellcheck disable=SC2016 # the inner shell expands them
    launch "$count" sh -c 'cd "$1" && shift && exec "$@"' sh "$tests/.." "$lockstep" "$@"
}

# start RANKS COMMAND...: the same in the background; its process is $job
start() {
    count=$1 command="$*"
    shift
    [ "$count" = 0 ] || set -- "$mpiexec" "$flag" "$count" "$@"
    "$@" >out 2>err </dev/null &
    job=$!
}

# finish: waits for it, sets $code
finish() {
    patience "$limit" ! kill -0 "$job" 2>/dev/null || fail "hangs"
    wait "$job"
    code=$?
    job=
}

end_job() {
    [ -n "$job" ] || return 0
    kill "$job"
    patience 5 ! kill -0 "$job" 2>/dev/null || kill -KILL "$job"
    wait "$job"
}

# patience SECONDS [!] COMMAND...: until the command succeeds, or with ! fails; false if it never did
patience() {
    left=$(($1 * 20)) wanted=0
    shift
    [ "$1" != ! ] || { wanted=1 && shift; }
    while [ $left -gt 0 ]; do
        result=0
        "$@" >/dev/null 2>&1 || result=1
        [ $result -ne $wanted ] || return 0
        left=$((left - 1))
        sleep 0.05
    done
    return 1
}

messages() { cat out err | grep -c '^lockstep: error: '; }

# ends CODE [PATTERN...]: the last job's exit code; one message where it failed and none where not; each
# extended regular expression matches a line of what it wrote; no control characters
ends() {
    [ $code -eq "$1" ] || fail "exit $code, expected $1"
    case $1 in
    0 | 75) [ "$(messages)" -eq 0 ] || fail 'an error message, but no error' ;;
    *) [ "$(messages)" -eq 1 ] || fail "$(messages) error messages, expected one" ;;
    esac
    shift
    says "$@"
    plain
}

says() {
    for pattern in "$@"; do
        cat out err | grep -q -E -e "$pattern" || fail "nothing says '$pattern'"
    done
}

plain() { cat out err | tr -d '\n\t' | grep -q '[[:cntrl:]]' && fail 'control characters'; :; }

# same A B WHAT, differ A B WHAT: two digests or other words, neither of them empty
same() { [ -n "$1" ] && [ "$1" = "$2" ] || fail "$3: '$1' and '$2' differ"; }
differ() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ] || fail "$3: '$1' and '$2' should differ"; }

# digest RUN: of the state that it ended with; empty if there is none
digest() { "$lockstep" info --json "$1/checkpoints/last.h5" | sed -n 's/.*"state_digest": "\([0-9a-f]\{32\}\)".*/\1/p'; }

# curve RUN: all of its metrics but the times
curve() { cut -d, -f1-7 "$1/metrics.csv"; }

# snapshot RUN: a line that changes with any name or byte in it
snapshot() { (cd "$1" && find . -type f -exec cksum {} + -o -type l -exec ls -l {} + | sort | cksum); }

# has_row RUN STEP: whether its metrics have come that far
has_row() { [ "$(sed -n '$s/,.*//p' "$1/metrics.csv" 2>/dev/null)" -ge "$2" ] 2>/dev/null; }

# newest RUN: the step of its newest checkpoint
newest() {
    set -- "$1"/checkpoints/step-*.h5
    while [ $# -gt 1 ]; do shift; done
    expr "$1" : '.*step-0*\([0-9]*\)\.h5'
}

# damage FILE OFFSET: turns some bytes over
damage() { printf 'lockstep?' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

# text FILE LINES: sentences that a small model can learn, with letters beyond ASCII
text() {
    awk -v lines="$2" 'BEGIN {
        split("the sea and a pale moon move slowly no wind knows wie süß der Tag ist", word, " ")
        x = 7
        for (i = 0; i < lines; i++) {
            for (j = 0; j < 7; j++) {
                x = x * 16807 % 2147483647
                printf "%s%s", word[x % 15 + 1], j < 6 ? " " : ".\n"
            }
        }
    }' >"$1"
}
