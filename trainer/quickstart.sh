#!/bin/sh
# SPDX-License-Identifier: MIT
#
# quickstart.sh [FILE...]: installs what is missing, builds, trains a character model on two ranks for about
# a minute and prints text that it makes up. Learns the given text files; without any, this repository's own
# sources and README, so it works without a network. Each run gets a directory of its own below runs/.
set -u

case ${1:-} in
-h | --help)
    printf 'usage: sh trainer/quickstart.sh [FILE...]\n'
    exit 0
    ;;
esac

say() { printf '\nlockstep: %s\n' "$*"; }
fail() {
    code=$1
    shift
    printf 'lockstep: error: %s\n' "$*" >&2
    exit "$code"
}

house=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
for file in "$@"; do
    if ! [ -f "$file" ] || ! [ -r "$file" ]; then fail 3 "text ($file): not a readable file; name plain text files"; fi
done

# ---- packages and program ------------------------------------------------------------------------------
sh "$house/trainer/packages.sh" || exit $?
cores=$(nproc 2>/dev/null || echo 2)
log=$house/build/release.log
mkdir -p "$house/build" || fail 74 "build directory ($house/build): cannot be made; clone to a place you may write to"
say "building (its output goes to ${log#"$house"/})"
(
    cd "$house" &&
        if command -v make >/dev/null 2>&1; then cmake --preset release; else cmake --preset release -G Ninja; fi &&
        cmake --build --preset release --parallel "$cores"
) >"$log" 2>&1 || {
    code=$?
    tail -n 30 "$log" >&2
    fail "$code" "build (${log#"$house"/}): failed; its last lines stand above"
}
lockstep=$house/build/release/lockstep

# ---- a fresh directory, and the text in it --------------------------------------------------------------
mkdir -p "$house/runs" || fail 74 "run directory ($house/runs): cannot be made; clone to a place you may write to"
number=1
run=$house/runs/quickstart
until mkdir "$run" 2>/dev/null; do
    [ -d "$run" ] || fail 74 "run directory ($run): cannot be made; free the place or its disk"
    number=$((number + 1))
    run=$house/runs/quickstart-$number
done
text=$run/text.txt
if [ $# -gt 0 ]; then
    cat -- "$@" >"$text"
else
    (
        cd "$house" &&
            { echo README.md
              find CMakeLists.txt comm io layers trainer configs tests -type f \
                  \( -name '*.[ch]' -o -name '*.inc' -o -name '*.md' -o -name '*.sh' -o -name '*.yaml' -o -name '*.txt' -o -name '*.py' \) |
                  LC_ALL=C sort; } | while IFS= read -r file; do cat -- "$file" || exit 74; done
    ) >"$text"
fi || fail 74 "text ($text): could not be written; free some space"

# Characters where the text is UTF-8, bytes where it is something else.
tokenizer=char
export LC_ALL=C.UTF-8
if ! iconv -f UTF-8 -t UTF-8 "$text" >/dev/null 2>&1; then
    tokenizer=byte
    export LC_ALL=C
fi

# ---- two ranks --------------------------------------------------------------------------------------------
# More than 4 threads a rank find no work in a model of this size.
if [ -z "${OMP_NUM_THREADS:-}" ]; then
    OMP_NUM_THREADS=$((cores / 2))
    [ "$OMP_NUM_THREADS" -ge 1 ] || OMP_NUM_THREADS=1
    [ "$OMP_NUM_THREADS" -le 4 ] || OMP_NUM_THREADS=4
    export OMP_NUM_THREADS
fi
# Open MPI 4 and 5: let the threads of a rank spread over cores, and two ranks share one core if need be.
if [ "$OMP_NUM_THREADS" -gt 1 ]; then
    export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
fi
if [ "$cores" -lt 2 ]; then
    export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
fi
launch='mpirun -n 2'
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    launch='mpirun --allow-run-as-root -n 2'
fi
# Ranks write through mpirun's pipe and cannot see the terminal themselves.
progress=lines
[ -t 1 ] && [ -t 2 ] && progress=bar

# A value after key= is YAML.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"; }

say "training on 2 ranks with $OMP_NUM_THREADS thread(s) each: $(wc -c <"$text") bytes of text, about a minute"
# Exit code 75 is the time limit in the config doing its work; mpirun would report it as a failure.
# shellcheck disable=SC2016 # the inner shell expands
mpirun -n 2 sh -c '"$0" "$@"; code=$?; [ $code -eq 75 ] || exit $code' "$lockstep" train "$house/configs/quickstart.yaml" \
    "run.dir=$(quoted "$run")" "data.path=$(quoted "$text")" "data.tokenizer=$tokenizer" "log.progress=$progress" </dev/null ||
    fail $? "training ($run): ended with an error; the message above says why"

# ---- what it has learned ----------------------------------------------------------------------------------
best=$run/checkpoints/best.h5
prompt=$(sed -n '/[^[:space:]]/{s/^[[:space:]]*\(.\{1,24\}\).*/\1/p;q;}' "$text")
say "a sample, begun with the text's own first characters:"
printf '\n'
"$lockstep" generate "$best" --prompt "$prompt" --length 600 --temperature 0.4 --seed 1 </dev/null ||
    fail $? "generation ($best): ended with an error; the message above says why"
printf '\n'

say "checkpoint: $best"
say "next, train it on for ten minutes:
  $launch '$lockstep' train '$run/config.yaml' train.max_time=10m"
