#!/bin/sh
# SPDX-License-Identifier: MIT
#
# writing.sh: exit 74: a run directory that cannot be written, a disk that is full. What was saved before stays
# good, and the run goes on from it.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model
# A checkpoint (parameters and two moments each) is then larger than any piece of the ranks' shared memory.
wide='model.rnn.hidden_size=160'

# ---- a place that is none ---------------------------------------------------------------------------------
run train small.yaml run.dir=text.txt/run
ends 74 'text.txt/run/checkpoints.*: Not a directory; choose another run.dir='
mkdir -p taken
: >taken/checkpoints
run train small.yaml run.dir=taken
ends 74 'taken/checkpoints.*: Not a directory; choose another run.dir='
if [ "$(id -u)" -ne 0 ]; then
    mkdir closed
    chmod 555 closed
    run train small.yaml run.dir=closed/run
    ends 74 'cannot make directory .*closed/run.*: Permission denied; '
fi
run eval small.yaml
ends 4

# ---- files that may not grow ---------------------------------------------------------------------------------
run train small.yaml run.dir=whole "$wide"
ends 0
run train small.yaml run.dir=cut train.steps=4 "$wide"
ends 0
before=$(snapshot cut/checkpoints)
size=$(wc -c <cut/checkpoints/step-000000004.h5)
# ulimit counts in 512 bytes. Open MPI's own shared memory does not fit below such a limit: its messages go over TCP here.
export OMPI_MCA_btl=self,tcp
# shellcheck disable=SC2016 # the inner shell expands
launch "$ranks" sh -c 'ulimit -f $1 && shift && exec "$@"' sh $((size / 512 * 9 / 10)) "$lockstep" train small.yaml run.dir=cut "$wide"
ends 74 '^lockstep: warning: cannot write .*cut/checkpoints/step-000000008.h5 .*; training goes on' \
    '^lockstep: error: cannot write .*cut/checkpoints/step-000000012.h5 .*[0-9]+ bytes.*: File too large; '
unset OMPI_MCA_btl
same "$(snapshot cut/checkpoints)" "$before" 'the checkpoints after files could not grow'
run train small.yaml run.dir=cut "$wide"
ends 0 'resuming from step 4 '
same "$(digest cut)" "$(digest whole)" 'the run that had no room'

# ---- a full disk ------------------------------------------------------------------------------------------------
# A small file system in a name space of its own, where this user may have one.
mkdir disk
export disk="$here/disk"
# shellcheck disable=SC2016
inside='mount -t tmpfs -o size=$1k tmpfs "$disk" || exit 99
shift
"$@"
code=$?
cp -R "$disk/run" "$disk/../saved"
exit $code'
enter='unshare -m'
[ "$(id -u)" -eq 0 ] || enter='unshare -r -m'
# shellcheck disable=SC2086
if ! $enter sh -c 'mount -t tmpfs -o size=100k tmpfs "$disk"' 2>/dev/null; then
    echo 'no file system of its own may be mounted here: the full disk is left out'
    exit 0
fi
[ "$ranks" = 0 ] || set -- "$mpiexec" "$flag" "$ranks"
[ "$ranks" != 0 ] || set --
# Room for one checkpoint and a half.
# shellcheck disable=SC2086
launch 0 $enter sh -c "$inside" sh $((size * 3 / 2 / 1024)) "$@" "$lockstep" train small.yaml run.dir="$disk/run" "$wide" checkpoint.keep=1
ends 74 '^lockstep: warning: cannot write .*step-000000008.h5.*: No space left on device; .*training goes on' \
    '^lockstep: error: cannot write .*step-000000012.h5.*: No space left on device; '
run info saved/checkpoints/last.h5
ends 0 'step 4,'
mv saved resumed
run train small.yaml run.dir=resumed "$wide"
ends 0 'resuming from step 4 '
same "$(digest resumed)" "$(digest whole)" 'the run whose disk was full'
# Not even a first line.
# shellcheck disable=SC2086
launch 0 $enter sh -c "$inside" sh 4 "$@" "$lockstep" train small.yaml run.dir="$disk/run"
ends 74 'No space left on device'
