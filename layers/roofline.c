/* SPDX-License-Identifier: MIT
 *
 * roofline.c: how much a layer has to compute and to move in a step, from its shapes alone. */
#include "layers/model_parts.h"

/* A panel of the packed operand is read by so many rows before the next one takes its place in the first cache. */
enum { ROWS_PER_PANEL = 192 };

typedef struct Extent {
    double rows[PER_TARGET_STEP + 1]; /* by grain */
    bool trains;
} Extent;

/* Of a product of so many rows: a row goes by once for each panel of 16 columns, the packed weight once for each
 * `rows_at_once` rows. */
static double reread(const Packed *packed, double rows) {
    const double at_once = packed->rows_at_once ? (double)packed->rows_at_once : ROWS_PER_PANEL;
    return rows * (double)packed->param->count * (1.0 / PANEL + 1 / at_once);
}

static void add_products(const Model *model, const LayerNode *node, const Extent *of, LayerWork *work) {
    for (size_t p = 0; p < node->packs; p++) {
        const Packed *packed = model->packed[node->first_packed + p];
        const double rows = of->rows[packed->per_sequence ? PER_SEQUENCE : node->layer.in[0]->grain];
        work->reread += reread(packed, rows);
        if (packed->form != PACK_TRANSPOSED) continue;
        /* Forward; in backward one such product for what it reads and one for the weight. */
        work->flops += (of->trains ? 6 : 2) * rows * (double)packed->param->count;
        if (of->trains) work->reread += rows * (double)packed->param->count / PANEL;
    }
}

static void add_attention(const Layer *layer, const Extent *of, LayerWork *work) {
    AttentionSet set;
    for (size_t i = 0; layer->type->attention && layer->type->attention(layer, i, &set); i++) {
        const double keys = of->rows[set.key] / of->rows[PER_SEQUENCE];
        work->flops += (of->trains ? 3 : 1) * set.flops * of->rows[set.query] * keys;
    }
}

/* Forward reads its parameters; backward reads them again and writes a gradient for each that is not frozen. Of a
 * table that is looked up both read what the rows ask for at most. */
static double parameters_moved(const Model *model, const LayerNode *node, const Extent *of) {
    const Value *in = node->layer.in[0];
    double moved = 0;
    for (size_t p = 0; p < node->params; p++) {
        const Param *param = &model->param[node->first_param + p]->param;
        double read = (double)param->count;
        if (in->vocabulary && param->rank == 2) {
            const double asked = of->rows[in->grain] * (double)param->dim[1];
            if (asked < read) read = asked;
        }
        moved += of->trains && !in->vocabulary ? 2 * read : read;
        if (of->trains && !param->frozen) moved += (double)param->count;
    }
    return moved;
}

static double saved_reals(const Model *model, size_t layer, const Extent *of) {
    const Grain grain = model->node[layer].layer.in[0]->grain;
    const size_t most = plan_max_rows(&model->plan, grain);
    double bytes = 0;
    for (size_t i = 0; i < model->pieces; i++)
        if (model->piece[i].layer == layer) bytes += (double)model->piece[i].bytes;
    return most ? bytes / sizeof(real) * of->rows[grain] / (double)most : 0;
}

static double size_of(const Value *value, const Extent *of) {
    return of->rows[value->grain] * (double)value->features;
}

static void add_values(const Model *model, size_t l, const Extent *of, LayerWork *work) {
    const Layer *layer = &model->node[l].layer;
    const bool chunked = model->fused && l + 1 == model->layers; /* its output is never held whole */
    for (size_t i = 0; i < layer->inputs; i++) {
        const Value *in = layer->in[i];
        const int times = 1 + (of->trains && (layer->type->reads & READS_IN)) + (of->trains && in->g);
        work->moved += times * size_of(in, of);
    }
    for (size_t i = 0; i < layer->outputs && !chunked; i++) {
        const Value *out = layer->out[i];
        const int times = (out->v != NULL) + (of->trains && (layer->type->reads & READS_OUT)) + (out->g != NULL);
        work->moved += times * size_of(out, of);
    }
}

LayerWork model_layer_work(const Model *model, size_t layer, double steps, double sequences, double target_steps) {
    const LayerNode *node = &model->node[layer];
    const Extent of = {{[PER_STEP] = steps, [PER_SEQUENCE] = sequences, [PER_TARGET_STEP] = target_steps},
                       model->spec->trains};
    LayerWork work = {0};
    add_products(model, node, &of, &work);
    if (sequences > 0) add_attention(&node->layer, &of, &work);
    add_values(model, layer, &of, &work);
    work.moved += parameters_moved(model, node, &of);
    work.moved += (of.trains ? 2 : 0) * saved_reals(model, layer, &of);
    return work;
}
