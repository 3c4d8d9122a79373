#!/bin/sh
# SPDX-License-Identifier: MIT
#
# house.sh [ROOT]: the rules of the house that a compiler does not see. Prints each violation as
# file:line: rule, exits with 1 if there is one. Works without git: build and run directories are left out.
set -u
LC_ALL=C
export LC_ALL
cd "${1:-$(dirname -- "$0")/../..}" || exit 2

violations=$(mktemp) || exit 2
trap 'rm -f "$violations"' EXIT

# hits RULE < lines "file:line:text"
hits() {
    while IFS= read -r line; do
        printf '%s: %s\n' "$(printf '%s' "$line" | cut -c1-140)" "$1" >>"$violations"
    done
}

tree=$(find . \( -name .git -o -name runs -o -name 'build*' \) -prune -o -type f -print | sed 's|^\./||' | sort)
sources=$(printf '%s\n' "$tree" | grep -E '\.(c|h|inc)$')
texts=$(printf '%s\n' "$tree" | grep -E '\.(c|h|inc|sh|py|cmake|txt|md|yaml|yml|json|supp)$|^(LICENSE|\.clang-format|\.gitignore|\.ci/run)$')
[ -n "$sources" ] || { echo "no sources below $(pwd)"; exit 2; }
# Names in the tree hold no blanks (checked here), so that lists are words.
printf '%s\n' "$tree" | grep -n '[[:space:]]' | hits 'a blank in a name'

in_folder() { printf '%s\n' "$sources" | grep -E "^($1)/"; }
includes() { # FOLDER: file:line:path for every quoted include
    # shellcheck disable=SC2046
    set -- $(in_folder "$1")
    [ $# -eq 0 ] || grep -n -H -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$@" | sed 's/^\([^:]*:[0-9]*:\)[^"]*"\([^"]*\)".*/\1\2/'
}

# ---- arrows -------------------------------------------------------------------------------------------
includes comm | grep -v -E ':comm/' | hits 'comm includes comm alone'
includes io | grep -v -E ':(io/|comm/(status|arena|log|fold)\.h$)' | hits 'io includes io and the plain headers of comm'
includes layers | grep -v -E ':(layers/|comm/(status|arena|log|fold|region)\.h$)' | hits 'layers include layers and the plain headers of comm'
includes trainer | grep -v -E ':(trainer|layers|io|comm)/' | hits 'trainer includes trainer, layers, io and comm by their path'
# shellcheck disable=SC2086
{
    grep -n -H -E '#[[:space:]]*include[[:space:]]*[<"]mpi\.h' $sources | grep -v -E '^(comm|tests)/' | hits 'mpi.h belongs to comm'
    grep -n -H -E '#[[:space:]]*include[[:space:]]*[<"](hdf5|H5[A-Za-z]*|hdf5_hl)\.h' $sources | grep -v -E '^(io|tests)/' | hits 'hdf5.h belongs to io'

    # ---- determinism ------------------------------------------------------------------------------------
    grep -n -H -E '#[[:space:]]*pragma[[:space:]]+omp' $sources |
        grep -v -E '^(layers/ops/|layers/recurrent/|comm/reduce|comm/threads|trainer/optimizer|tests/)' |
        hits 'pragma omp stands in layers/ops, the recurrent block loop, reduction and optimizer'
    grep -n -H -E 'pragma[[:space:]]+omp.*(reduction[[:space:]]*\(|atomic)' $sources | hits 'sums depend on the threads'
    grep -n -H -E -e '-ffast-math|-Ofast|-funsafe-math' $texts | grep -v '^tests/lint/' | hits 'results must not depend on the compiler'
    grep -n -H -E 'MPI_I?(Allreduce|Reduce)[[:space:]]*\(' $sources | grep -v -E '^(tests/|comm/probe\.c)' | hits 'sums go through the tree of comm/fold.h'

    # ---- text -----------------------------------------------------------------------------------------------
    grep -n -H -E 'TOD[O]|FIXM[E]|(^|[^X])XX[X]([^X]|$)' $texts | hits 'unfinished'
    grep -n -H -E '/(wor[k]|far[m]|roo[t]|tm[p]/b_)/|https?://[a-z.]*(debia[n]|pyp[i]|npmj[s])[a-z.]*/' $texts | hits 'a path or host of one machine'
    printf '\342\200\224\n\342\200\223\n' >"$violations.dash"
    grep -n -H -F -f "$violations.dash" $texts | hits 'a long dash; write a comma or a colon'
    rm -f "$violations.dash"
    grep -n -H -E '[[:space:]]$' $texts | hits 'blanks at the end of a line'
    printf '\t\n' >"$violations.tab"
    grep -n -H -F -f "$violations.tab" $sources | hits 'a tab'
    rm -f "$violations.tab"
}

for file in $sources; do
    head -n 1 "$file" | grep -q -F '/* SPDX-License-Identifier: MIT' || echo "$file:1" | hits 'the first line names the licence'
    [ "$(wc -l <"$file")" -le 500 ] || echo "$file" | hits 'longer than 500 lines'
done
for file in $(printf '%s\n' "$texts" | grep -E '\.(sh|py|cmake)$|CMakeLists\.txt$'); do
    head -n 2 "$file" | grep -q -F '# SPDX-License-Identifier: MIT' || echo "$file:1" | hits 'the first lines name the licence'
done
for file in $(printf '%s\n' "$sources" | grep '\.h$' | grep -v -E '^tests/|_list\.h$'); do # lists are included more than once
    guard=LOCKSTEP_$(printf '%s' "$file" | tr 'a-z/.' 'A-Z__')
    grep -q "^#ifndef $guard\$" "$file" || echo "$file:1" | hits "the include guard is $guard"
done
printf '%s\n' "$tree" | cut -d/ -f1 | sort -u |
    grep -v -x -E 'trainer|layers|io|comm|configs|tests|CMakeLists\.txt|CMakePresets\.json|README\.md|LICENSE|\..*' |
    hits 'beyond the layout of the house'

if [ -s "$violations" ]; then
    cat "$violations"
    printf '%s violations\n' "$(wc -l <"$violations")"
    exit 1
fi
printf '%s files keep the rules\n' "$(printf '%s\n' "$tree" | wc -l)"
