#!/bin/sh
# SPDX-License-Identifier: MIT
#
# clean.sh SOURCE [MPIEXEC FLAG]: builds the program by the preset `tsan` (clang, with its OpenMP runtime and
# archer, which tells ThreadSanitizer what a parallel region orders) and trains, evaluates and predicts on several
# threads with a checkpoint after every step: no data race, no lock out of order, no thread left. Skips with a
# reason without clang, libomp or archer.
#
# What it does not see: accesses inside libraries that are not built for it (libhdf5, MPI), and other processes.
set -u
source=$1 mpiexec=${2:-} flag=${3:-}
skip() {
    echo "skipped: $*"
    exit 77
}
fail() {
    printf 'not as it should be: %s\n' "$*" >&2
    [ ! -s out ] || tail -c 6000 out >&2
    exit 1
}
here=$(mktemp -d) || exit 1
trap 'cd / && rm -rf "$here"' EXIT
trap 'exit 1' HUP INT TERM
cd "$here" || exit 1

command -v clang >/dev/null 2>&1 || skip 'no clang'
archer=$(find /usr/lib -name libarcher.so 2>/dev/null | head -n 1)
[ -n "$archer" ] || skip 'no libarcher.so (package libomp-dev)'
# io_sync=0: two threads that both write files are not in order for that reason.
export OMP_TOOL_LIBRARIES="$archer" OMP_NUM_THREADS=3 TMPDIR="$here"
export TSAN_OPTIONS='ignore_noninstrumented_modules=1:io_sync=0:exitcode=66'

# It would find one: a region that adds without order, and a thread that was not waited for.
cat >race.c <<'C'
#include <pthread.h>
int x;
static void *set(void *p) {
    x = 1;
    return p;
}
int main(int argc, char **argv) {
    (void)argv;
    pthread_t thread;
    int sum = 0;
    if (argc > 1) {
#pragma omp parallel for num_threads(3)
        for (int i = 0; i < 1000; i++) sum += i;
    } else {
        pthread_create(&thread, 0, set, 0);
        x = 2;
        pthread_join(thread, 0);
    }
    return sum == -1;
}
C
clang -g -O1 -fsanitize=thread -fopenmp race.c -o race 2>out || skip "clang with ThreadSanitizer and OpenMP: $(head -n 1 out)"
for race in '' region; do
    # shellcheck disable=SC2086 # none or one
    ./race $race >out 2>&1
    [ $? -eq 66 ] && grep -q 'data race' out || skip 'ThreadSanitizer does not find a plain race on this system'
done

cmake -S "$source" -B build --preset tsan >out 2>&1 || fail 'the preset tsan does not configure'
cmake --build build --target lockstep --parallel 2 >out 2>&1 || fail 'the preset tsan does not build'

awk 'BEGIN { for (i = 0; i < 300; i++) print "the moon and the sea " i * 7919 % 997 }' >text.txt
cat >recurrent.yaml <<'YAML'
data: {kind: text, path: text.txt, seq_len: 24, validation: 0.1}
model:
  - embedding: {embedding_dim: 64}
  - lstm: {hidden_size: 96, num_layers: 2, dropout: 0.2}
  - gru: {hidden_size: 64, bidirectional: true}
  - layer_norm: {}
  - linear: {}
train: {steps: 6, batch_size: 12, shards: 4, clip_norm: 0.3}
checkpoint: {every: 1, keep: 2}
eval: {every: 2}
YAML
cat >attention.yaml <<'YAML'
data: {kind: text, path: text.txt, seq_len: 24, validation: 0.1}
model:
  - embedding: {embedding_dim: 96}
  - positional_encoding: {kind: learned}
  - transformer_encoder: {nhead: 3, num_layers: 2, dim_feedforward: 192, dropout: 0.1, norm_first: true, causal: true}
  - self_attention: {}
  - linear: {}
optimizer: {name: adamw, weight_decay: 0.01}
train: {steps: 6, batch_size: 12, shards: 4, clip_norm: 0.3}
checkpoint: {every: 1, keep: 2}
eval: {every: 2}
YAML

# clean COMMAND...: it works, and no thread of it races
clean() {
    timeout -k 5 120 "$@" >out 2>&1 </dev/null
    code=$?
    grep -q 'ThreadSanitizer' out && fail "$*: $(grep -m 1 'ThreadSanitizer' out)"
    [ $code -eq 0 ] || fail "$* (exit $code)"
}
program=$here/build/lockstep
for model in recurrent attention; do
    clean "$program" train $model.yaml
    clean "$program" eval runs/$model/checkpoints/last.h5
    clean "$program" predict runs/$model/checkpoints/last.h5 --data text.txt --out out.csv
    clean "$program" bench $model.yaml --steps 3
    [ -z "$mpiexec" ] || for share in all none; do
        LOCKSTEP_SHARE=$share clean "$mpiexec" "$flag" 2 "$program" train $model.yaml run.dir=runs/$model-$share
    done
done
