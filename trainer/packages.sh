#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages.sh [tests]: makes sure that what the build needs is there, with "tests" also what the tests need.
# Says nothing and asks nobody where all is there. On Debian and Ubuntu it installs what is missing, as root
# or through sudo; elsewhere, or if that fails, it lists what to install and exits with 2.
set -u

needed_cmake=3.25
want_tests=no
[ "${1:-}" = tests ] && want_tests=yes

say() { printf 'lockstep: %s\n' "$*" >&2; }

# A command that stands for a package, so that a compiler or an MPI from elsewhere (a module, a prefix in the
# home directory) counts too.
commands='gcc:gcc cmake:cmake pkg-config:pkg-config mpicc:libopenmpi-dev mpirun:openmpi-bin'
libraries='libc6-dev libhdf5-dev libyaml-dev librandom123-dev libxxhash-dev libutf8proc-dev libhwloc-dev libjansson-dev libcsv-dev'
modules='yaml-0.1 libxxhash libutf8proc hwloc jansson'
# Tests that lack these are skipped, so the run goes on without them.
optional=
if [ "$want_tests" = yes ]; then
    libraries="$libraries libcmocka-dev"
    modules="$modules cmocka"
    optional='python3-h5py clang-format shellcheck iproute2'
fi

has() { command -v "$1" >/dev/null 2>&1; }

debian=no
has dpkg-query && has apt-get && debian=yes

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing_required() {
    for pair in $commands; do
        has "${pair%%:*}" || printf '%s ' "${pair#*:}"
    done
    has make || has ninja || printf 'make '
    if [ "$debian" = yes ]; then
        for package in $libraries; do installed "$package" || printf '%s ' "$package"; done
    elif has pkg-config; then
        for module in $modules; do pkg-config --exists "$module" || printf '%s ' "$module"; done
    fi
}

missing_optional() {
    [ "$debian" = yes ] || return 0
    for package in $optional; do installed "$package" || printf '%s ' "$package"; done
}

give_up() {
    say "error: $1"
    say "needed: gcc, CMake >= $needed_cmake, make or ninja, pkg-config, MPI, HDF5 (C library), libyaml, Random123, xxHash, utf8proc, hwloc, jansson, libcsv; for the tests cmocka"
    say "missing here: $2"
    [ "$debian" = yes ] && say "install with: apt-get install --no-install-recommends $2"
    exit 2
}

# apt's locks may be held by an upgrade in the background; stdin is closed so that nothing can ask.
apt() {
    $root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

missing=$(missing_required)
extra=$(missing_optional)
missing=${missing% }
extra=${extra% }
if [ -n "$missing$extra" ]; then
    root=none
    if [ "$(id -u)" = 0 ]; then
        root=
    elif has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        root=sudo
    fi
    if [ "$debian" = no ]; then
        [ -z "$missing" ] || give_up "this is not a Debian or Ubuntu system, so nothing was installed" "$missing"
    elif [ "$root" = none ]; then
        [ -z "$missing" ] || give_up "neither root nor sudo, so nothing was installed" "$missing"
        say "not installed (tests that need them are skipped): $extra"
    else
        # shellcheck disable=SC2086 # the lists are words on purpose
        set -- $missing
        say "installing" "$@" "$extra"
        apt update || say "warning: apt-get update failed; trying with the lists that are here"
        if [ $# -gt 0 ]; then
            apt install --no-install-recommends "$@" || give_up "apt-get could not install all packages" "$missing"
        fi
        for package in $extra; do
            apt install --no-install-recommends "$package" || say "warning: no $package; tests that need it are skipped"
        done
    fi
fi

version=$(cmake --version 2>/dev/null | sed -n '1s/^cmake version \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p')
major=${version%%.*} minor=${version#*.}
if [ -z "$version" ] || [ "$major" -lt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -lt 25 ]; }; then
    say "error: CMake ${version:-of unknown version} is too old: $needed_cmake or newer is needed"
    say "newer ones: 'pip install cmake', 'snap install cmake --classic', or the packages on cmake.org (Ubuntu 22.04 and Debian 11 ship older ones)"
    exit 2
fi
