#!/bin/sh
# SPDX-License-Identifier: MIT
#
# torch_property.sh TEST_PROPERTY [DRAWS]: draws of every kind of layer, judged by PyTorch. A fifth of the draws of a kind
# with dropout is compared in evaluation alone, so 250 leave 200 with gradients. 77 (skipped) where $LOCKSTEP_PYTHON
# (python3) has no torch or numpy.
set -eu
judged=$1 draws=${2:-250} python=${LOCKSTEP_PYTHON:-python3}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$python" -c 'import torch, numpy' 2>/dev/null || { echo "$python has no torch or no numpy: skipped"; exit 77; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$judged" --draws "$draws" --write "$dir/draws"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/torch_property.py" "$dir/draws"
