# SPDX-License-Identifier: MIT
"""learned.py NAME RUN OUTPUT SECONDS: has a quickstart run learned its text? Validation loss at least 0.8 nats below the
text's unigram entropy, at least 80 % of the sample's 4-grams in the text. Time is reported, not judged."""
import collections
import csv
import math
import os
import sys

name, run, output, seconds = sys.argv[1:]
text = open(os.path.join(run, "text.txt"), encoding="utf-8").read()
counts = collections.Counter(text)
entropy = -sum(n / len(text) * math.log(n / len(text)) for n in counts.values())

with open(os.path.join(run, "metrics.csv"), encoding="utf-8") as f:
    rows = list(csv.DictReader(f))
loss = float([r for r in rows if r["split"] == "validation"][-1]["loss"])
trained = float(rows[-1]["seconds"])

said = open(output, encoding="utf-8", errors="replace").read()
sample = said.split("first characters:\n\n", 1)[1].split("\nlockstep: checkpoint:", 1)[0].strip("\n")
known = {text[i:i + 4] for i in range(len(text) - 3)}
grams = [sample[i:i + 4] for i in range(len(sample) - 3)]
share = sum(g in known for g in grams) / len(grams)

print(f"{name}: {len(text)} characters, unigram entropy {entropy:.3f}, validation loss {loss:.3f} ({entropy - loss:.3f} below) "
      f"after {rows[-1]['step']} steps; {share:.1%} of {len(grams)} 4-grams known; {seconds} s in all, {trained:.0f} s training")
good = entropy - loss >= 0.8 and share >= 0.8 and len(grams) > 300
sys.exit(0 if good else 1)
