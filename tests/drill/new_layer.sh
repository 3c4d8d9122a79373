#!/bin/sh
# SPDX-License-Identifier: MIT
#
# new_layer.sh PROGRAM RANKS MPIEXEC FLAG CMAKE: what layers/README.md tells somebody who adds a layer, done in a copy of
# the tree: a folder under a new name, its table renamed, one line in the list. The copy builds, `help` knows the new
# kind, its generic tests pass, a config with it trains, and a fault in its backward is found.
limit=300
. "$(dirname -- "$0")/../lib.sh"
cmake=$5
# Without the compiler's cache: the time is that of a newcomer.
unset CMAKE_C_COMPILER_LAUNCHER
mkdir tree
(cd "$tests/.." && cp -R CMakeLists.txt trainer layers io comm tests "$here/tree") || fail 'the tree cannot be copied'

cp -R tree/layers/layer_norm tree/layers/standard_score
mv tree/layers/standard_score/layer_norm.c tree/layers/standard_score/standard_score.c
source=tree/layers/standard_score/standard_score.c
rename() { sed "$2" "$1" >renamed && mv renamed "$1"; }
rename $source 's/^const LayerType layer_layer_norm/const LayerType layer_standard_score/; s/\.kind = "layer_norm"/.kind = "standard_score"/'
grep -q '^const LayerType layer_standard_score' $source && grep -q 'kind = "standard_score"' $source || fail 'layer_norm has another table'
rename tree/layers/layer_list.h 's/^LAYER(transformer_decoder)/LAYER(standard_score)\
&/'

generator=
command -v ninja >/dev/null && generator=-GNinja
# Compiled as fast as goes; ranks are tested elsewhere.
launch 0 "$cmake" -S tree -B build $generator -DLOCKSTEP_MPI=OFF -DLOCKSTEP_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG=-O0
[ $code -eq 0 ] || fail 'the copy does not configure'
launch 0 "$cmake" --build build --parallel 2 --target lockstep test_gradients test_every_layer test_model
[ $code -eq 0 ] || fail 'the copy does not build'

launch 0 build/lockstep help
ends 0 '^ *standard_score '
launch 0 build/lockstep help standard_score
ends 0 '^standard_score: ' 'eps ' 'elementwise_affine '
launch 0 build/tests/test_gradients standard_score
ends 0 '^standard_score, .*: gradients agree'
launch 0 build/tests/test_every_layer standard_score
ends 0
launch 0 build/tests/test_model
ends 0

cat >config.yaml <<'YAML'
data: {kind: synthetic, task: majority, sequences: 300}
model:
  - embedding: {embedding_dim: 8}
  - standard_score: {name: score, eps: 1.0e-4}
  - select: mean
  - linear
optimizer: {lr: 3.0e-2}
train: {epochs: 10}
YAML
launch 0 build/lockstep train config.yaml run.dir=run
ends 0 'finished at step'
launch 0 build/lockstep eval run/checkpoints/best.h5 --json
ends 0
accuracy=$(sed -n 's/^ *"accuracy": \([0-9.e-]*\),/\1/p' out)
awk -v accuracy="$accuracy" 'BEGIN { exit !(accuracy > 0.6) }' || fail "accuracy $accuracy"
launch 0 build/lockstep info run/checkpoints/best.h5
ends 0 'score\.weight' 'score\.bias'

# A gradient of the weight that is that of the bias: the test tells.
rename $source 's/sums(context, pass, s, dweight, NULL)/sums(context, pass, s, NULL, dweight)/'
launch 0 "$cmake" --build build --target test_gradients
[ $code -eq 0 ] || fail 'the fault does not build'
launch 0 build/tests/test_gradients standard_score
[ $code -ne 0 ] || fail 'a wrong backward passes'
says 'standard_score.*weight'
