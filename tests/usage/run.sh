#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh: what a run leaves: links and checkpoints, metrics.csv, config.yaml; how it ends; what a dry run leaves.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model
files() { (cd "$1" && printf '%s ' *); }
fields() { sed 1d "$1/metrics.csv" | cut -d, -f"$2" | tr '\n' ' '; }

# ---- checkpoints and links -----------------------------------------------------------------------------
run train small.yaml train.steps=13 checkpoint.every=2 checkpoint.keep=2 optimizer.lr=0.02
ends 0
[ ! -s out ] || fail 'training wrote to stdout'
same "$(files runs/small)" 'checkpoints config.yaml metrics.csv ' 'the run directory'
same "$(readlink runs/small/checkpoints/last.h5)" step-000000013.h5 'last.h5'
best=$(awk -F, '$3 == "validation" && (least == "" || $4 < least) { least = $4; step = $1 } END { print step }' runs/small/metrics.csv)
same "$(readlink runs/small/checkpoints/best.h5)" "$(printf 'step-%09d.h5' "$best")" 'best.h5'
kept=$(printf 'best.h5\nlast.h5\nstep-000000012.h5\nstep-000000013.h5\nstep-%09d.h5\n' "$best" | sort -u | tr '\n' ' ')
same "$(files runs/small/checkpoints)" "$kept" 'checkpoint.keep: 2 and the best'
run train small.yaml run.dir=plain data.validation=0 checkpoint.every=null eval.every=null
ends 0
same "$(files plain/checkpoints)" 'last.h5 step-000000012.h5 ' 'checkpoints of a run without validation'

# ---- metrics.csv -----------------------------------------------------------------------------------------
same "$(head -n 1 runs/small/metrics.csv)" step,epoch,split,loss,accuracy,lr,grad_norm,tokens_per_s,seconds 'the header of metrics.csv'
same "$(fields runs/small 1,3)" \
    '2,train 4,train 4,validation 6,train 8,train 8,validation 10,train 12,train 12,validation 13,validation ' 'rows of metrics.csv'
sed 1d runs/small/metrics.csv | awk -F, 'NF != 9 || $4 <= 0 || $9 < last || $2 != $1 / 25 { exit 1 } { last = $9 }
    $3 == "train" && ($6 != 0.02 || $7 <= 0 || $8 <= 0) { exit 1 } $3 == "validation" && $6 $7 $8 != "" { exit 1 }' ||
    fail "figures of metrics.csv: $(cat runs/small/metrics.csv)"
sed 1d runs/small/metrics.csv | tr , '\n' | sed 's/e.*//; s/^0*\.0*//; s/[^0-9]//g' | grep -E '.{10}' && fail 'more than 9 digits in metrics.csv'
grep -q '^[0-9]*,[^,]*,train,[0-9]\.[0-9]\{7,8\},' runs/small/metrics.csv || fail 'fewer than 9 digits in metrics.csv'
# Rows beyond the step that a run goes on from are written anew, not twice.
cp -R runs/small cut
before=$(curve cut)
rm cut/checkpoints/step-000000013.h5
printf '14,0.56,tra' >>cut/metrics.csv
run train small.yaml train.steps=13 checkpoint.every=2 checkpoint.keep=2 optimizer.lr=0.02 run.dir=cut
ends 0 'resuming from step 12 '
same "$(curve cut)" "$before" 'metrics.csv cut back to step 12'

# ---- config.yaml, --print-config: each gives the same run again, from anywhere ----------------------------------
run train small.yaml optimizer.lr=0.02 --print-config
ends 0
cp out printed.yaml
[ ! -s err ] || fail '--print-config wrote to stderr'
mkdir elsewhere
(cd elsewhere && "$lockstep" train ../runs/small/config.yaml run.dir="$here/again" >../out 2>&1) || fail 'config.yaml of a run'
same "$(digest again)" "$(digest runs/small)" 'a run from config.yaml'
run train printed.yaml run.dir=printed train.steps=13
ends 0
same "$(digest printed)" "$(digest runs/small)" 'a run from --print-config'
(cd elsewhere && "$lockstep" eval ../runs/small/checkpoints/last.h5 >../out 2>&1) || fail 'eval from another directory'
run train small.yaml run.dir=null --print-config
ends 0 'dir: .*runs/small$'

# ---- where a run ends -------------------------------------------------------------------------------------------
sed 's/steps: 12, //' small.yaml >open.yaml
run train open.yaml run.dir=epochs train.epochs=2 checkpoint.keep=1
ends 0 'finished at step 50 '
run train small.yaml run.dir=steps train.epochs=2
ends 0 'finished at step 12 '
run train small.yaml run.dir=one train.steps=100 train.epochs=1
ends 0 'finished at step 25 '
run train small.yaml run.dir=early optimizer.lr=0 eval.every=1 eval.early_stop=3
ends 0 'early stop: ' 'finished at step 4 '
same "$(newest early)" 4 'the newest checkpoint after an early stop'
same "$(readlink early/checkpoints/best.h5)" step-000000001.h5 'best.h5 after an early stop'
run train small.yaml run.dir=early optimizer.lr=0 eval.every=1 eval.early_stop=3
ends 0 'nothing to do: the run finished at step 4'
for time in 90s 3h50m 1d 00:01:30; do
    run train small.yaml --dry-run train.max_time=$time
    ends 0
done

# ---- shards: the ranks of the first start, and then kept -----------------------------------------------------------
first=$((ranks > 1 ? ranks : 1))
run train small.yaml run.dir=shards train.shards=null train.steps=6
ends 0
launch 0 "$lockstep" train small.yaml run.dir=shards train.shards=null
ends 0 "in $first shards?$"
run train small.yaml run.dir=through train.shards=$first
ends 0
same "$(digest shards)" "$(digest through)" 'shards of the first start'
run train small.yaml run.dir=shards train.shards=3 train.steps=14
ends 0 'train.shards: .* -> 3'

# ---- --dry-run -------------------------------------------------------------------------------------------------------
touch before
run train small.yaml --dry-run run.dir=dry
ends 0 '^step 1: loss ' '^step 2: loss ' 'memory per rank' 'nothing was written'
written=$(find . -newer before -type f ! -name out ! -name err)
[ -z "$written" ] && [ ! -e dry ] || fail "a dry run left $written"
run train small.yaml --dry-run
ends 0 'dry run: 12 steps'
