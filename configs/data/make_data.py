#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_data.py [DIRECTORY]: the data of the configs that do not make theirs in memory; its results are in the tree.

words.tsv     made-up words and the same words backwards
weather.csv   three years of days: a front passes every week or so; pressure falls before it, rain comes with it
sentiment.h5  sentences of good, bad and plain words; "not" turns the word behind it over; the class is what prevails

The last one needs h5py. The numbers come from random.Random(seed).random alone, whose sequence Python guarantees.
"""
import math
import os
import random
import sys


def pick(dice, words):
    return words[int(dice.random() * len(words))]


def bell(dice):
    """About normal, deviation 1: sums are the same on every machine, logarithms may not be."""
    return sum(dice.random() for _ in range(12)) - 6


def words(path):
    dice, seen = random.Random(1), []
    while len(seen) < 2000:
        word = "".join(pick(dice, "bdfgklmnprst") + pick(dice, "aeiou") for _ in range(1 + int(2 * dice.random())))
        word += pick(dice, ["", "n", "r", "s", "l"])
        if len(word) > 2 and word not in seen:
            seen.append(word)
    with open(path, "w") as f:
        f.writelines(f"{word}\t{word[::-1]}\n" for word in seen)


def weather(path):
    dice = random.Random(2)
    lines, phase, swing, warmth, damp = [], 0.0, 1.0, 0.0, 0.0
    for day in range(3 * 365):
        year, season = 2021 + day // 365, math.cos(2 * math.pi * (day % 365 - 200) / 365)
        phase += 2 * math.pi / 7.5 + 0.12 * bell(dice)
        swing += 0.2 * (1 - swing) + 0.08 * bell(dice)
        warmth, damp = 0.7 * warmth + 0.6 * bell(dice), 0.6 * damp + 2 * bell(dice)
        pressure = 1014 + 9 * swing * math.sin(phase) + 0.4 * bell(dice)
        humidity = min(100, max(30, 70 - 16 * swing * math.sin(phase - 0.7) + damp))
        temperature = 11 + 9 * season - 2.5 * math.sin(phase - 1.2) + warmth + 0.4 * bell(dice)
        wind = max(0.0, 12 + 6 * swing * math.cos(phase) + 1.2 * bell(dice))
        rain = "yes" if -math.sin(phase - 0.4) * swing + 0.12 * bell(dice) > 0.45 else "no"
        month_day = (day % 365)
        lines.append(f"{year}-{month_day + 1:03d},{temperature:.1f},{pressure:.1f},{humidity:.0f},{wind:.1f},{rain}\n")
    with open(path, "w") as f:
        f.write("day,temperature,pressure,humidity,wind,rain\n")
        f.writelines(lines)


GOOD = "good great lovely funny clever warm brilliant moving".split()
BAD = "bad dull awful boring clumsy cold terrible weak".split()
TURN = "not never hardly".split()
PLAIN = "the a film story cast actor ending music scene was is felt and with this it".split()


def sentence(dice):
    out, score = [], 0
    length = 4 + int(13 * dice.random())
    while len(out) < length:
        if dice.random() < 0.6:
            out.append(pick(dice, PLAIN))
            continue
        turn = dice.random() < 0.4
        good = dice.random() < 0.5
        out += [pick(dice, TURN)] if turn else []
        out.append(pick(dice, GOOD if good else BAD))
        score += 1 if good != turn else -1
    return out, score


def sentiment(path):
    import h5py
    import numpy as np

    dice = random.Random(3)
    vocabulary = ["<pad>"] + sorted(GOOD + BAD + TURN + PLAIN)
    number = {word: i for i, word in enumerate(vocabulary)}
    made = []
    while len(made) < 2000:
        out, score = sentence(dice)
        if score:
            made.append((out, score))
    longest = max(len(out) for out, _ in made)
    inputs = np.zeros((len(made), longest), np.uint8)
    for i, (out, _) in enumerate(made):
        inputs[i, :len(out)] = [number[word] for word in out]
    with h5py.File(path, "w", libver="earliest") as f:
        f["inputs"] = inputs
        f["lengths"] = np.array([len(out) for out, _ in made], np.uint8)
        f["targets"] = np.array([score > 0 for _, score in made], np.uint8)
        f["vocabulary"] = vocabulary


if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    words(os.path.join(directory, "words.tsv"))
    weather(os.path.join(directory, "weather.csv"))
    sentiment(os.path.join(directory, "sentiment.h5"))
