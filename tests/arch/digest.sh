#!/bin/sh
# SPDX-License-Identifier: MIT
#
# digest.sh KERNEL_DIGEST SOURCE [FOREIGN]: every kernel set gives the same bits: those that this machine runs,
# and with FOREIGN (aarch64) those of another machine, cross-compiled and run under an emulator. Skips where the
# compiler or the emulator is absent.
set -eu
digest=$1 source=$2 foreign=${3:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

LOCKSTEP_ISA=portable "$digest" >"$folder/portable"
cat "$folder/portable"
for set in neon avx2 avx512; do
    code=0
    LOCKSTEP_ISA=$set "$digest" >"$folder/$set" 2>"$folder/err" || code=$?
    [ $code -eq 77 ] && continue
    cat "$folder/err"
    [ $code -eq 0 ] || exit 1
    cmp "$folder/portable" "$folder/$set" || {
        diff "$folder/portable" "$folder/$set" || true
        exit 1
    }
done
[ -n "$foreign" ] || exit 0

compiler=$foreign-linux-gnu-gcc emulator=
for each in qemu-$foreign-static qemu-$foreign; do
    command -v "$each" >/dev/null 2>&1 && emulator=$each && break
done
if [ "$(uname -m)" = "$foreign" ] || ! command -v "$compiler" >/dev/null 2>&1 || [ -z "$emulator" ]; then
    echo "skipped: needs a machine other than $foreign, $compiler, and qemu-$foreign-static or qemu-$foreign"
    exit 77
fi
# Headers that hold for every machine, apart from this machine's own.
mkdir "$folder/include"
for header in Random123 xxhash.h xxh3.h; do
    [ -e "/usr/include/$header" ] && ln -s "/usr/include/$header" "$folder/include/$header"
done
for file in "$source"/layers/ops/*.c; do
    case $file in *_avx2.c | *_avx512.c) continue ;; esac
    set -- "$@" "$file"
done
shift 3
# Vectors would be passed in registers only if a function were not inlined.
"$compiler" -std=gnu17 -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra -Wconversion -Werror \
    -Wno-psabi -fopenmp -static -D_GNU_SOURCE -DXXH_INLINE_ALL -DLOCKSTEP_HAVE_NEON -I"$source" -isystem "$folder/include" \
    "$@" "$source/comm/arena.c" "$source/comm/status.c" "$source/comm/log.c" "$source/comm/region.c" "$source/tests/arch/kernel_digest.c" \
    -o "$folder/foreign_digest" -lm
for set in portable neon; do
    LOCKSTEP_ISA=$set "$emulator" "$folder/foreign_digest" >"$folder/foreign_$set"
    cmp "$folder/portable" "$folder/foreign_$set" || {
        diff "$folder/portable" "$folder/foreign_$set" || true
        exit 1
    }
done
