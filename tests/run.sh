#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh [CTest arguments]: installs what is missing, builds and tests. Without arguments everything but the
# tests labelled `slow`: the program as it ships, without MPI, and under AddressSanitizer and
# UndefinedBehaviorSanitizer. With arguments CTest alone decides, on the first of the three builds:
#     sh tests/run.sh -L mpi
#     sh tests/run.sh -R golden --verbose
#     sh tests/run.sh -L slow
set -u

house=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
cd "$house" || exit 2
sh trainer/packages.sh tests || exit $?

cores=$(nproc 2>/dev/null || echo 2)
logs=$house/build/logs
mkdir -p "$logs" || exit 74
failed=0

# build PRESET [TARGET...]: quiet unless it fails.
build() {
    preset=$1
    shift
    printf '== %s: building\n' "$preset"
    generator=
    command -v make >/dev/null 2>&1 || generator='-G Ninja'
    # shellcheck disable=SC2086 # two words or none
    if ! { cmake --preset "$preset" $generator && cmake --build --preset "$preset" --parallel "$cores" ${1:+--target "$@"}; } >"$logs/$preset-build.log" 2>&1; then
        grep -n -E 'error|Error' "$logs/$preset-build.log" | head -n 40
        tail -n 30 "$logs/$preset-build.log"
        printf '== %s: the build failed (%s)\n' "$preset" "$logs/$preset-build.log"
        failed=1
        return 1
    fi
}

# check PRESET NAME [CTest arguments]: runs, shows, keeps the output for the closing lines.
check() {
    preset=$1 name=$2
    shift 2
    printf '== %s: testing\n' "$name"
    { ctest --preset "$preset" --parallel "$cores" "$@" 2>&1 || printf '%s\n' "$?" >"$logs/$name.failed"; } | tee "$logs/$name.log"
    if [ -s "$logs/$name.failed" ]; then failed=1; fi
}

rm -f "$logs"/*.failed "$logs"/*.log

if [ $# -gt 0 ]; then
    build ci || exit 1
    case " $* " in
    *slow*) ;;
    *) set -- -LE slow "$@" ;;
    esac
    check ci ci "$@"
    exit $failed
fi

build ci && check ci ci -LE slow
# Without MPI only comm differs: what runs the program, and one test of each other floor.
build no-mpi lockstep rank_reduce make_data flip_bits test_golden test_fold test_model test_data &&
    check no-mpi no-mpi -L short -LE 'slow|mpi|lint' -R '^(ranks|bits_alone|fault|usage|predict|golden_(lstm|gru|adam)|test_(fold|model|data)$)'
# Open MPI unloads its plug-ins before the leak check looks, so leaks are only sought where MPI is not started.
# Differences of gradients go the same ways as test_every_layer, many thousand times.
if build sanitize; then
    check sanitize sanitize -L short -LE 'slow|mpi|lint|course|drill' -E '^(test_(decoder_)?gradients|arch_digest_aarch64)$'
    check sanitize-mpi sanitize-mpi -L mpi -LE slow -R '^(ranks_[34]_|lost_kill_(all_1_of_2|none_0_of_2|2_2_of_4)|bits_ranks|fault_(diverged|writing|stopped)|usage|golden)'
fi

printf '\n'
for name in no-mpi sanitize sanitize-mpi ci; do
    if [ -f "$logs/$name.log" ]; then
        printf '== %s\n' "$name"
        sed -n '/^The following tests/,$p; /tests passed/p; /^Total Test time/p' "$logs/$name.log" | awk '!seen[$0]++ && NF'
    else
        printf '== %s: not run, its build failed\n' "$name"
    fi
done
exit $failed
