#!/bin/sh
# SPDX-License-Identifier: MIT
#
# plot.sh PROGRAM RANKS ...: curves of characters show each point at its place; gnuplot, or what stands for it,
# gets a script with every point; what is wrong is said.
. "$(dirname -- "$0")/../lib.sh"

mkdir one two empty bad
head='step,epoch,split,loss,accuracy,lr,grad_norm,tokens_per_s,seconds'
{
    echo $head
    for step in 0 10 20 30 40; do echo "$step,0,train,$((50 - step)),,0.1,1,2,3"; done
    echo '40,1,validation,30,,,,,'
    echo '40,1,train,,,,,,'
} >one/metrics.csv
{ echo $head; echo '20,0,train,50,,0.1,1,2,3'; } >two/metrics.csv
echo $head >empty/metrics.csv
{ echo $head; echo '20,0,train,5o,,0.1,1,2,3'; } >bad/metrics.csv

run plot one two
ends 0 '^ +50 \|a +b$' '^ +10 \|.*a$' '^a training, A validation +one$' '^b training +two$'
[ "$(grep -c '|' out)" = 20 ] && [ "$(grep '|' out | tr -cd a | wc -c)" = 5 ] || fail 'points'
# The validation point stands half-way up, at the right end.
grep '|' out | awk '/A/ && (NR < 10 || NR > 11 || length($0) != 84) { exit 1 }' || fail 'validation'
run plot --ascii one
ends 0 '^a training'
[ ! -s err ] || fail 'something on stderr'

# A stand-in that keeps its script and writes where it is told.
mkdir bin
cat >bin/gnuplot <<'SH'
#!/bin/sh
cat >script
file=$(sed -n "s/^set output '\(.*\)'$/\1/p" script)
echo picture >"$file"
exit "${GNUPLOT_CODE:-0}"
SH
chmod +x bin/gnuplot
launch 0 env PATH="$here/bin:$PATH" "$lockstep" plot one two -o curves.svg
ends 0 'curves.svg'
[ "$(cat curves.svg)" = picture ] || fail 'no picture'
for line in '^set terminal svg' '^30 20$' '^40 30$' "title 'one, validation'" "title 'two, training'"; do
    grep -q -e "$line" script || fail "the script lacks $line: $(cat script)"
done
launch 0 env PATH="$here/bin:$PATH" GNUPLOT_CODE=3 "$lockstep" plot one -o broken.png
ends 74 'cannot write broken.png: gnuplot ended with 3'
launch 0 env PATH="$here/none" "$lockstep" plot one -o broken.png
ends 2 'gnuplot .program.: not found'
set -- broken*
[ ! -e "$1" ] || fail "$1 is left"
if command -v gnuplot >/dev/null; then
    for file in real.svg real.png; do
        run plot one two -o $file
        ends 0
        [ -s $file ] || fail "$file is empty"
    done
fi

run plot
ends 2 'RUN missing'
run plot none
ends 3 'none/metrics.csv'
run plot empty
ends 3 'empty/metrics.csv: holds no loss'
run plot bad
ends 3 'bad/metrics.csv:2:12: loss: .5o. is not a number'
run plot one -o curves.gif
ends 2 'neither in .svg nor in .png'
exit 0
