/* SPDX-License-Identifier: MIT
 *
 * write_logits.c: CHECKPOINT OUT. What a text model of a checkpoint says to the first batch of its data, for
 * torch_reads.py: int64 sequences, steps, classes; int32 ids [sequences, steps]; float32 logits
 * [sequences, steps, classes]. */
#include <stdio.h>

#include "trainer/restore.h"
#include "trainer/session.h"

static Status write_all(FILE *out, const void *data, size_t size, size_t count) {
    if (fwrite(data, size, count, out) == count) return OK;
    return status_fail(ERR_WRITE, "logits: could not be written");
}

static Status write_batch(Engine *engine, const Data *data, FILE *out) {
    Loader *loader;
    TRY(loader_create(engine, data, SPLIT_ALL, loader_config(engine->config, false), &loader));
    const Batch *batch = loader_load(loader, 0, 0, 0, 1);
    const Value *logits = model_forward(engine->model, batch, false);
    size_t sequences = batch->rows.sequences, rows = batch->rows.offset[sequences];
    int64_t shape[] = {(int64_t)sequences, (int64_t)batch->rows.longest, (int64_t)logits->features};
    Status status = write_all(out, shape, sizeof shape, 1);
    if (status == OK) status = write_all(out, batch->ids, sizeof *batch->ids, rows);
    if (status == OK) status = write_all(out, logits->v, sizeof *logits->v, rows * logits->features);
    loader_destroy(&loader);
    return status;
}

static Status run(Comm *comm, const char *checkpoint, const char *path) {
    Restored r;
    Data *data;
    Engine *engine;
    TRY(restore_open(comm, checkpoint, NULL, 0, &r));
    DataKnown known = restore_known(&r);
    TRY(session_open_data(r.config, &known, &data));
    EngineUse use = {.info = data_info(data),
                     .shards = 1,
                     .batch_size = r.config->train.batch_size,
                     .max_length = data_info(data)->longest};
    TRY(engine_create(comm, r.config, &use, &engine));
    TRY(engine_load(engine, r.file));
    FILE *out = fopen(path, "wb");
    if (!out) return status_fail(ERR_WRITE, "%s: cannot be opened", path);
    TRY(write_batch(engine, data, out));
    if (fclose(out) != 0) return status_fail(ERR_WRITE, "%s: could not be written", path);
    engine_destroy(&engine);
    data_close(&data);
    restore_close(&r);
    return OK;
}

int main(int argc, char **argv) {
    Comm *comm;
    if (argc != 3) {
        fprintf(stderr, "usage: write_logits CHECKPOINT OUT\n");
        return ERR_USAGE;
    }
    Status status = comm_start(&comm, 1, argv);
    if (status == OK) status = run(comm, argv[1], argv[2]);
    if (status != OK) {
        fprintf(stderr, "%s\n", status_message());
        return (int)status;
    }
    comm_finish(&comm);
    return 0;
}
