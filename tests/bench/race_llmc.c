/* SPDX-License-Identifier: MIT
 *
 * race_llmc.c: training steps of llm.c's CPU trainer, timed. race_others.py compiles it in a copy of a checkout of
 * llm.c, as that one's test program.
 *
 *     program CHECKPOINT TOKENS SEQUENCES LENGTH STEPS
 *
 * prints "step LOSS SECONDS" for each step, as that one's main times them, and "memory BYTES" at the end. */
#define TESTING
#include "train_gpt2.c"

#include "race_timing.h"

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const int sequences = atoi(argv[3]), length = atoi(argv[4]), steps = atoi(argv[5]);
    GPT2 model;
    DataLoader loader;
    gpt2_build_from_checkpoint(&model, argv[1]);
    dataloader_init(&loader, argv[2], (size_t)sequences, (size_t)length, 0, 1, 0);
    for (int step = 1; step <= steps; step++) {
        const double since = now();
        dataloader_next_batch(&loader);
        gpt2_forward(&model, loader.inputs, loader.targets, (size_t)sequences, (size_t)length);
        gpt2_zero_grad(&model);
        gpt2_backward(&model);
        gpt2_update(&model, 1e-4f, 0.9f, 0.999f, 1e-8f, 0.0f, step);
        printf("step %.6f %.9f\n", (double)model.mean_loss, now() - since);
    }
    print_memory();
    dataloader_free(&loader);
    gpt2_free(&model);
    return 0;
}
