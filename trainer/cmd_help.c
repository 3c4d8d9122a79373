/* SPDX-License-Identifier: MIT
 *
 * cmd_help.c: the table of commands, lockstep help, --version. */
#include <stdio.h>
#include <string.h>

#include "comm/log.h"
#include "layers/ops/ops.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "io/checkpoint.h"
#include "trainer/config.h"

const Command commands[] = {
    {"train", "CONFIG [key=value ...] [--resume auto|never|PATH] [--dry-run] [--print-config] [--trace FILE]",
     "train a model, or go on training it",
     "  --resume MODE    auto: go on from the newest checkpoint that verifies (default); never; or a file\n"
     "  --dry-run        the same path on real data, two steps, reports time and memory, writes nothing\n"
     "  --print-config   print the effective config and end\n"
     "  --trace FILE     what every rank did when, for Perfetto (ui.perfetto.dev) or chrome://tracing: steps, phases,\n"
     "                   layers, messages between nodes, checkpoint writer; the first 50000 spans of each rank\n",
     true, command_train},
    {"eval", "CHECKPOINT [key=value ...] [--split train|validation|all] [--json]",
     "measure loss and scores of a checkpoint",
     "  --split SPLIT    default: validation, or all where there is none or data.path is overridden\n"
     "  --json           one JSON object on stdout\n",
     true, command_eval},
    {"predict", "CHECKPOINT --data FILE [--out FILE.csv|FILE.h5] [--logits] [decoding options]",
     "what the model says to the sequences of a file",
     "  --data FILE      of the kind that the model was trained on; targets need not be there\n"
     "  --out FILE       CSV or HDF5; default: CSV to stdout, a row per sequence: index, class or values\n"
     "  --logits         also the score of every class; of a class per step then a row per step\n"
     "  A model with a decoder writes symbol by symbol until it says that it is through; FILE is .h5, or text with\n"
     "  a line per input, or per pair: then exact matches and the loss are reported too.\n"
     "  --beam K         keep the K most probable beginnings; default 1: always the most probable symbol\n"
     "  --length-penalty F  of results, the one with the largest log p / n^F wins, n symbols with the end (1)\n"
     "  --max-length N   cut at N symbols, the end counted; default: twice the input's steps and 50\n"
     "  --temperature F, --top-k K, --top-p P, --seed S  draw instead, as generate does\n",
     true, command_predict},
    {"generate", "CHECKPOINT --prompt TEXT --length N [--temperature F] [--top-k K] [--top-p P] [--seed S]",
     "write text",
     "  --temperature F  1: the model's distribution (default), 0: always the most likely\n"
     "  --top-k K        only the K most likely tokens; --top-p P: only the likeliest that make up P\n"
     "  --seed S         another text\n"
     "  --prompts FILE   instead of --prompt: a prompt a line, all continued at once, each as alone\n",
     true, command_generate},
    {"prepare", "INPUT... -o OUT.h5 [options] | --synthetic NAME -o OUT.h5 [--sequences N] [--seed S]",
     "data as HDF5: text, pairs, series, made tasks",
     "  --kind KIND      text, pairs or csv; default: by the ending, .tsv or .csv, else text\n"
     "  --tokenizer T    text and pairs: byte, char (default) or word; text: also bpe, with\n"
     "                   --vocab-size N (1024) tokens\n"
     "  --features A,B   csv: columns to read; --targets C: to predict; --lookback N: rows of a sequence;\n"
     "                   --horizon N (1), --stride N (1), --scaling standard|minmax|none (none), by all rows;\n"
     "                   --classes: the target is a class, not a number\n"
     "  --synthetic NAME a task, with --sequences N (1000) and --seed S (1):\n"
     "                   copy      each symbol again three steps later, 0 before the first\n"
     "                   reverse   6 symbols, then 6 blanks: 6 blanks, then the symbols backwards\n"
     "                   parity    bits: whether the number of ones so far is odd\n"
     "                   adding    numbers, two of them marked in a second column: their sum\n"
     "                   majority  10 symbols in 5 groups, 5 to 25 steps: the group (symbol modulo 5)\n"
     "                             that occurs most\n"
     "                   sine      a sine of unknown frequency and phase: its next value\n"
     "                   caption   a context of 3 places with 3 objects, one bright in each: the names of the\n"
     "                             bright ones, object k said k + 1 times; input is the word before\n"
     "                   dates, reverse_text, number_words: text for a decoder, no input twice: dates of many\n"
     "                             forms as 2024-05-03, 2 to 16 letters backwards, \"four hundred seven\" as 407\n"
     "  --decoder        pairs: targets of any length, for a model with a decoder\n",
     false, command_prepare},
    {"info", "FILE [--json]", "what a checkpoint, data set or config holds; verifies it",
     "  --json           one JSON object on stdout\n", false, command_info},
    {"export", "CHECKPOINT -o FILE.safetensors|FILE.h5", "the weights alone, for other programs",
     "  -o FILE          .safetensors, or .h5 with /model/<name>, which run.init_from takes\n", false, command_export},
    {"plot", "RUN... [-o FILE.svg|.png] [--ascii]", "loss curves of runs",
     "  -o FILE          a picture, drawn by the program gnuplot\n"
     "  --ascii          characters on stdout (default without -o)\n",
     false, command_plot},
    {"bench", "CONFIG [key=value ...] [--steps N] [--json] [--comm] [--network NET]",
     "time training steps and compare with the machine's peaks",
     "  --steps N        steps to time; default: about 10 seconds\n"
     "  --json           one JSON object on stdout\n"
     "  --comm           also: sums and messages of many sizes, beside MPI's and memcpy; what more nodes would make\n"
     "                   of a step, 1 to 4096, with the formula\n"
     "  --network NET    on this network: 25GbE,2us; 1GbE, 10GbE, 100GbE, HDR; 12.5GB/s,1.3us. Default: as measured\n"
     "                   between the nodes of this job, or 25GbE\n",
     true, command_bench},
    {"help", "[KEY]", "all config keys, or one: `help optimizer.lr`, `help lstm`", "", false, command_help},
    {0}};

Status command_help(Comm *comm, int argc, char **argv) {
    (void)comm;
    const Option table[] = {{0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("help", argc, argv, table, &rest, &count));
    if (count > 1) return status_fail(ERR_USAGE, "%s (command line): help takes one key", rest[1]);
    return config_help(count ? rest[0] : NULL);
}

bool command_is_local(const Command *command, int argc, char **argv) {
    if (!command->ranks) return true;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--print-config") == 0) return true;
    return false;
}

void version_print(bool verbose) {
    printf("lockstep %s\n", LOCKSTEP_VERSION);
    if (!verbose) return;
    printf("compiler   %s %s\n",
#ifdef __clang__
           "clang",
#else
           "gcc",
#endif
           __VERSION__);
    printf("mpi        %s\n", comm_library());
    printf("hdf5       %s\n", checkpoint_library());
    printf("kernels    %s\n", ops_isa());
}
