#!/bin/sh
# SPDX-License-Identifier: MIT
#
# house_catches.sh: plants one violation of each rule in a small tree; house.sh must name every one of them,
# and must be content with the tree before.
set -u
lint=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/house.sh
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 2

plain='/* SPDX-License-Identifier: MIT */'
mkdir comm io layers layers/ops trainer tests
for file in comm/a.c io/a.c layers/a.c layers/ops/a.c trainer/a.c tests/a.c; do echo "$plain" >$file; done
sh "$lint" "$tree" || { echo 'FAIL: the clean tree has violations'; exit 1; }

failures=0
# expect RULE FILE TEXT: with TEXT as second line of FILE the lint fails and says RULE.
expect() {
    rule=$1 file=$2
    shift 2
    mkdir -p "$(dirname "$file")"
    case $file in
    *.sh) printf '# SPDX-License-Identifier: MIT\n%b\n' "$1" >"$file" ;;
    *) printf '%s\n%b\n' "$plain" "$1" >"$file" ;;
    esac
    said=$(sh "$lint" "$tree")
    status=$?
    if [ $status -ne 1 ] || ! printf '%s' "$said" | grep -F "${file%%/*}" | grep -q -F "$rule"; then
        printf 'FAIL: not caught: %s in %s (%s)\n%s\n' "$rule" "$file" "$1" "$said"
        failures=$((failures + 1))
    fi
    rm -f "$file"
}

expect 'comm alone' comm/b.c '#include "io/data.h"'
expect 'plain headers of comm' io/b.c '#include "comm/comm.h"'
expect 'plain headers of comm' io/b.c '#include "layers/model.h"'
expect 'plain headers of comm' layers/b.c '#include "io/data.h"'
expect 'plain headers of comm' layers/ops/b.c '#include "comm/reduce.h"'
expect 'by their path' trainer/b.c '#include "config.h"'
expect 'mpi.h belongs' trainer/b.c '#include <mpi.h>'
expect 'mpi.h belongs' layers/b.c '# include "mpi.h"'
expect 'hdf5.h belongs' trainer/b.c '#include <hdf5.h>'
expect 'pragma omp stands' io/b.c '#pragma omp parallel for'
expect 'depend on the threads' layers/ops/b.c '#pragma omp parallel for reduction(+ : sum)'
expect 'depend on the threads' layers/ops/b.c '#pragma omp atomic'
expect 'on the compiler' comm/b.c '/* -ffast-math */'
expect 'through the tree' comm/b.c '    MPI_Allreduce(a, b);'
expect 'unfinished' comm/b.c "/* TO""DO */"
expect 'of one machine' comm/b.c "/* /wo""rk/main */"
expect 'long dash' comm/b.c '/* a \0342\0200\0224 b */'
expect 'end of a line' comm/b.c 'int a; '
expect 'a tab' comm/b.c '\tint a;'
expect 'include guard' comm/b.h '#ifndef OTHER_H'
expect '500 lines' comm/b.c "$(yes 'int a;' | head -n 500)"
expect 'layout of the house' notes/b.sh 'true'
rmdir notes
printf 'int a;\n' >comm/b.c
sh "$lint" "$tree" | grep -q 'names the licence' || { echo 'FAIL: a missing licence line'; failures=$((failures + 1)); }

[ $failures -eq 0 ] && echo 'every rule catches its violation'
exit $failures
