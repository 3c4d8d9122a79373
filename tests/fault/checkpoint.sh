#!/bin/sh
# SPDX-License-Identifier: MIT
#
# checkpoint.sh: exit 4: checkpoints and initial weights that are missing, damaged, foreign or of another model;
# and going on without them where that is possible.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
make_data=$5
write_model
saved=runs/small/checkpoints

# restore: the run directory as training left it
restore() { rm -rf runs && cp -R whole runs; }

run train small.yaml
ends 0
cp -R runs whole
run train small.yaml run.dir=through train.steps=16
ends 0
through=$(digest through)
size=$(wc -c <$saved/step-000000012.h5)

# ---- a damaged newest one: the one before it is taken ----------------------------------------------------
for offset in 3 700 $((size / 2)) $((size - 9)); do
    restore
    damage $saved/step-000000012.h5 "$offset"
    run train small.yaml train.steps=16
    ends 0 '^lockstep: warning: not used: .*step-000000012.h5' '^resuming from step 8 ' 'finished at step 16'
    same "$(digest runs/small)" "$through" "after damage at byte $offset"
done
restore
head -c $((size / 2)) whole/small/checkpoints/step-000000012.h5 >$saved/step-000000012.h5
: >$saved/step-000000008.h5
run train small.yaml train.steps=16
ends 0 '^lockstep: warning: not used: .*step-000000012.h5' '^lockstep: warning: not used: .*step-000000008.h5' '^resuming from step 4 '
same "$(digest runs/small)" "$through" 'after two cut files'
same "$(curve runs/small)" "$(curve through)" 'metrics.csv after two cut files'
# What is left of a write that never ended, and files of other people, are nobody's checkpoint.
restore
: >$saved/step-99.h5
: >$saved/notes.txt
printf 'half' >$saved/.step-000000016.h5.tmp
run train small.yaml train.steps=16
ends 0 '^resuming from step 12 '
same "$(digest runs/small)" "$through" 'beside other files'
[ -e $saved/notes.txt ] && [ -e $saved/step-99.h5 ] || fail 'files of other people were removed'

# ---- none that can be used ---------------------------------------------------------------------------------
restore
for file in $saved/step-*.h5; do damage "$file" 900; done
before=$(snapshot runs/small)
run train small.yaml train.steps=16
ends 4 'small/checkpoints: none of 3 checkpoints can be used .*; start afresh with another run.dir='
same "$(grep -c '^lockstep: warning: not used: ' err)" 3 'refused checkpoints that are named'
for command in "eval $saved/last.h5" "eval $saved/best.h5 --json" "generate $saved/last.h5 --prompt the --length 3" "info $saved/last.h5" \
    "train small.yaml train.steps=16 --resume $saved/step-000000004.h5"; do
    # shellcheck disable=SC2086 # the words of a command
    run $command
    ends 4 'checkpoint refused .*h5\): '
    [ ! -s out ] || fail 'a result from a damaged file'
done
same "$(snapshot runs/small)" "$before" 'the run directory after refused starts'

# ---- --resume PATH and info -----------------------------------------------------------------------------------
restore
"$make_data" nothing nothing.h5 && "$make_data" weights weights.h5 || fail 'make_data'
: >empty.h5
before=$(snapshot runs/small)
for file in missing.h5 empty.h5 nothing.h5 text.txt "$golden/select_final.h5" .; do
    run train small.yaml train.steps=16 run.dir=runs/new --resume "$file"
    ends 4 "\\($file\\): "
    [ ! -e runs/new ] || fail 'a refused start left a run directory'
    run eval "$file"
    ends 4 "\\($file\\): "
done
for file in missing.h5 empty.h5 nothing.h5; do
    run info $file
    ends 4 "$file"
done
head -c $((size / 3)) $saved/step-000000012.h5 >cut.h5
run info cut.h5 --json
ends 4 'cut.h5'
same "$(snapshot runs/small)" "$before" 'the run directory after commands on other files'

run train small.yaml train.steps=16 run.dir=branch --resume $saved/step-000000004.h5
ends 0 'resuming from step 4 '
same "$(digest branch)" "$through" 'a run that goes on in another directory'

# ---- init_from ---------------------------------------------------------------------------------------------------
run train small.yaml run.dir=runs/new run.init_from=missing.h5
ends 4 'run.init_from: missing.h5: .*No such file'
run train small.yaml run.dir=runs/new run.init_from=text.txt
ends 4 'run.init_from: text.txt: '
run train small.yaml run.dir=runs/new run.init_from=nothing.h5
ends 4 'run.init_from: nothing.h5: '
run train small.yaml run.dir=runs/new run.init_from=weights.h5
ends 4 'run.init_from: weights.h5: .* do not fit the model' '^  /model/fc.bias: shape \[5\], the model needs \[[0-9]+\]$' \
    '^  /model/emb.weight: missing, the model needs \[[0-9]+, 5\]$' '^  /model/fc.extra: unexpected'
run train small.yaml run.dir=runs/new run.init_from=$saved/last.h5 model.rnn.hidden_size=8
ends 4 '^  /model/rnn.weight_ih_l0: shape \[28, 5\], the model needs \[32, 5\]$' \
    '^  /model/rnn.weight_hh_l0: shape \[28, 7\], the model needs \[32, 8\]$'
damage cut.h5 400
run train small.yaml run.dir=runs/new run.init_from=cut.h5
ends 4 'run.init_from: cut.h5: '
[ ! -e runs/new ] || fail 'a refused start left a run directory'
run train small.yaml run.dir=runs/new run.init_from=$saved/last.h5
ends 0 'initial parameters from '
# A finished run says so, before and after its steps are raised.
run train small.yaml
ends 0 'nothing to do: the run finished at step 12; raise train.steps to go on'
same "$(snapshot runs/small)" "$before" 'the run directory of a finished run'
