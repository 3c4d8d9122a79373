#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages_reports.sh ROOT: trainer/packages.sh on machines that are made up of small programs in a PATH of their own.
# shellcheck disable=SC2016 # made-up programs expand their own variables
set -u
script=$1/trainer/packages.sh
machine=$(mktemp -d) || exit 2
trap 'rm -rf "$machine"' EXIT
failures=0

# program NAME BODY
program() {
    printf '#!/bin/sh\n%s\n' "$2" >"$machine/bin/$1"
    chmod +x "$machine/bin/$1"
}

# A Debian as root where everything is installed; a file named absent/PACKAGE takes one away.
fresh() {
    rm -rf "${machine:?}/bin" "$machine/absent" "$machine/apt.log"
    mkdir -p "$machine/bin" "$machine/absent"
    for tool in sh env sed cat head; do ln -s "$(command -v $tool)" "$machine/bin/$tool"; done
    for tool in gcc pkg-config mpicc mpirun make; do program $tool 'exit 0'; done
    program id 'echo 0'
    program cmake 'echo "cmake version 3.25.1"'
    program dpkg-query 'for p; do :; done; [ -e '"$machine"'/absent/$p ] || printf installed'
    program apt-get 'echo "$*" >>'"$machine/apt.log"'; [ ! -e '"$machine"'/absent/network ]'
}

run() {
    said=$(PATH="$machine/bin" sh "$script" "$@" 2>&1 </dev/null)
    code=$?
    asked=$(cat "$machine/apt.log" 2>/dev/null)
}

# expect WHAT CODE SAID-PATTERN ASKED-PATTERN (empty: nothing)
expect() {
    good=yes
    [ "$code" -eq "$2" ] || good=no
    for pair in "$3|$said" "$4|$asked"; do
        pattern=${pair%%|*} text=${pair#*|}
        if [ -z "$pattern" ]; then
            [ -z "$text" ] || good=no
        else
            printf '%s' "$text" | grep -q -e "$pattern" || good=no
        fi
    done
    [ $good = yes ] && return
    printf 'FAIL: %s: exit %s\n%s\napt-get: %s\n' "$1" "$code" "$said" "$asked"
    failures=$((failures + 1))
}

fresh && run tests
expect 'all installed' 0 '' ''

fresh && touch "$machine/absent/libyaml-dev" && run
expect 'installs what is missing' 0 'installing libyaml-dev' 'Dpkg::Use-Pty=0.*install --no-install-recommends libyaml-dev'

fresh && touch "$machine/absent/libcmocka-dev" && run
expect 'the program does not need cmocka' 0 '' ''

fresh && touch "$machine/absent/shellcheck" "$machine/absent/network" && run tests
expect 'optional packages do not stop the tests' 0 'tests that need it are skipped' 'install'

fresh && touch "$machine/absent/libyaml-dev" "$machine/absent/network" && run
expect 'apt-get fails' 2 'missing here: libyaml-dev' 'install'

fresh && touch "$machine/absent/libyaml-dev" && program id 'echo 1000' && run
expect 'neither root nor sudo' 2 'missing here: libyaml-dev' ''

fresh && touch "$machine/absent/libyaml-dev" && program id 'echo 1000' && program sudo 'if [ "$1" = -n ]; then exit 0; fi; exec "$@"' && run
expect 'through sudo' 0 'installing' 'install'

fresh && rm "$machine/bin/dpkg-query" "$machine/bin/mpicc" && run
expect 'another system' 2 'missing here: libopenmpi-dev' ''

fresh && rm "$machine/bin/dpkg-query" && run
expect 'another system with everything' 0 '' ''

fresh && program cmake 'echo "cmake version 3.22.1"' && run
expect 'an old CMake' 2 'CMake 3.22 is too old' ''

[ $failures -eq 0 ] && echo 'ten machines, ten right answers'
exit $failures
