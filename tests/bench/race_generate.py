# SPDX-License-Identifier: MIT
"""Text token by token: lockstep generate beside PyTorch in a loop of its own, with recurrent state or a cache of keys and
values, and for attention also without a cache, over a shorter text. Both draw at temperature 1, with one thread and with two; the best
counts. The rate is that of the last three quarters of a text, from a long and a short run, so that the start of
programs does not count. For recurrent layers a run four times as long shows that a token costs no more CPU time there."""
import os
import resource
import statistics
import subprocess
import tempfile
import time

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,"
MODELS = {
    "lstm_512x2": dict(E=256, H=512, L=2),
    "gpt_128x4": dict(E=128, heads=4, L=4, ff=512),
}
ROWS = [f"{name}, {prompts}" for name in MODELS for prompts in (1, 16)]
THREADS = (1, 2)
PLAIN_LENGTH = 64


def config(model, folder, length):
    if "H" in model:
        body = f"  - lstm: {{hidden_size: {model['H']}, num_layers: {model['L']}}}"
    else:
        body = (f"  - transformer_encoder: {{nhead: {model['heads']}, num_layers: {model['L']}, dim_feedforward: {model['ff']}, "
                "dropout: 0, norm_first: true, causal: true, norm: true}")
    window = length + 8 if "heads" in model else 64
    return (f"run: {{dir: {folder}/run}}\ndata: {{kind: text, path: {folder}/text.txt, seq_len: {window}, validation: 0}}\n"
            f"model:\n  - embedding: {{embedding_dim: {model['E']}}}\n{body}\n  - linear\ntrain: {{batch_size: 1, steps: 1}}\n")


# ---- Lockstep -----------------------------------------------------------------------------------------------


def lockstep_run(args, folder, threads, length):
    """Seconds by the clock and of user CPU time."""
    before, since = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.perf_counter()
    subprocess.run([args.program, "generate", f"{folder}/run/checkpoints/last.h5", "--prompts", f"{folder}/prompts.txt", "--length", str(length)],
                   check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
    return time.perf_counter() - since, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


# ---- PyTorch ------------------------------------------------------------------------------------------------


def recurrent_writer(torch, model):
    from torch import nn
    emb, rnn = nn.Embedding(len(ALPHABET), model["E"]), nn.LSTM(model["E"], model["H"], model["L"], batch_first=True)
    fc = nn.Linear(model["H"], len(ALPHABET))

    def read(ids, state):
        out, state = rnn(emb(ids), state)
        return fc(out[:, -1]), state
    return read


def cached_writer(torch, model, longest, prompts):
    """The layers of nn.TransformerEncoder, norm first, one step at a time; keys and values stand in place."""
    from torch import nn
    from torch.nn import functional as F
    d, heads = model["E"], model["heads"]
    emb, fc, norm = nn.Embedding(len(ALPHABET), d), nn.Linear(d, len(ALPHABET)), nn.LayerNorm(d)
    layers = [nn.TransformerEncoderLayer(d, heads, model["ff"], 0.0, batch_first=True, norm_first=True).eval() for _ in range(model["L"])]
    kept = torch.zeros(len(layers), 2, prompts, heads, longest, d // heads)

    def read(ids, seen):
        n, first = ids.shape[1], seen or 0
        x = emb(ids)
        for layer, cache in zip(layers, kept):
            a = layer.self_attn
            q, k, v = F.linear(layer.norm1(x), a.in_proj_weight, a.in_proj_bias).view(prompts, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            cache[0, :, :, first : first + n], cache[1, :, :, first : first + n] = k, v
            out = F.scaled_dot_product_attention(q, cache[0, :, :, : first + n], cache[1, :, :, : first + n], is_causal=n > 1)
            x = x + a.out_proj(out.transpose(1, 2).reshape(prompts, n, d))
            x = x + layer.linear2(F.relu(layer.linear1(layer.norm2(x))))
        return fc(norm(x[:, -1])), first + n
    return read


def plain_writer(torch, model):
    from torch import nn
    emb, fc = nn.Embedding(len(ALPHABET), model["E"]), nn.Linear(model["E"], len(ALPHABET))
    layer = nn.TransformerEncoderLayer(model["E"], model["heads"], model["ff"], 0.0, batch_first=True, norm_first=True)
    enc = nn.TransformerEncoder(layer, model["L"], norm=nn.LayerNorm(model["E"]), enable_nested_tensor=False).eval()

    def read(ids, seen):
        text = ids if seen is None else torch.cat([seen, ids], 1)
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1])
        return fc(enc(emb(text), mask=mask, is_causal=True)[:, -1]), text
    return read


def torch_rate(torch, read, threads, prompts, length):
    """Tokens/s of the last three quarters."""
    torch.set_num_threads(threads)
    ids, state = torch.randint(0, len(ALPHABET), (prompts, 4)), None
    since = time.perf_counter()
    with torch.inference_mode():
        for i in range(length):
            if i == length // 4:
                since = time.perf_counter()
            logits, state = read(ids, state)
            ids = torch.multinomial(torch.softmax(logits, -1), 1)
    return prompts * (length - length // 4) / (time.perf_counter() - since)


# ---- a row --------------------------------------------------------------------------------------------------


def write_inputs(model, folder, prompts, length):
    with open(f"{folder}/text.txt", "w") as f:
        f.write(ALPHABET * (2 + 2 * length // len(ALPHABET)))
    with open(f"{folder}/prompts.txt", "w") as f:
        f.writelines(f"{ALPHABET[i : i + 4]}\n" for i in range(prompts))
    with open(f"{folder}/race.yaml", "w") as f:
        f.write(config(model, folder, length))


def lockstep_rates(args, folder, threads, prompts, length, attention):
    """Tokens/s; user CPU seconds of a token from a quarter of the length to the length, and from there to four times that."""
    at = [length // 4, length] + ([] if attention else [4 * length])
    runs = [lockstep_run(args, folder, threads, n) for n in at]
    per_token = [[(after[k] - before[k]) / (m - n) / prompts for k in (0, 1)]
                 for before, after, n, m in zip(runs, runs[1:], at, at[1:])]
    clock = max(per_token[0][0], 1e-9)  # of runs so short that the start hides them
    return 1 / clock, per_token[0][1], None if attention else per_token[1][1]


def race(row, args):
    import torch
    torch.set_flush_denormal(True)
    name, prompts = row.split(", ")
    model, prompts, length, pairs = MODELS[name], int(prompts), max(4, args.length), []
    attention = "heads" in model
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(model, folder, prompts, length)
        subprocess.run([args.program, "train", f"{folder}/race.yaml"], check=True, capture_output=True)
        until = time.perf_counter() + args.bound
        while not pairs or (len(pairs) < args.pairs and time.perf_counter() < until):
            ours = max(lockstep_rates(args, folder, threads, prompts, length, attention) for threads in THREADS)
            read = cached_writer(torch, model, length + 8, prompts) if attention else recurrent_writer(torch, model)
            theirs = max(torch_rate(torch, read, threads, prompts, length) for threads in THREADS)
            pairs.append((ours[0], theirs, ours[0] / theirs, ours[1], ours[2] or 0))
        plain = [torch_rate(torch, plain_writer(torch, model), threads, prompts, PLAIN_LENGTH) for threads in THREADS if attention]
    keys = ("lockstep", "torch", "ratio", "cpu_short", "cpu_long")
    return dict({key: statistics.median(p[i] for p in pairs) for i, key in enumerate(keys)}, torch_plain=max(plain, default=None),
                pairs=len(pairs), length=length)
