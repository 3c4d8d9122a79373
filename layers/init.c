/* SPDX-License-Identifier: MIT
 *
 * init.c: initial values. Element i of a parameter is a function of the run's seed, the parameter's name
 * and i, so it is the same on any number of ranks and whatever else the model holds. */
#include <math.h>

#include "layers/model_parts.h"
#include "layers/ops/random.h"

static const double GPT2_DEVIATION = 0.02;

static uint64_t stream_of(uint64_t seed, const char *name) {
    uint32_t words[4];
    random_words(seed, random_name(name), 0, words);
    return (uint64_t)words[1] << 32 | words[0];
}

/* What run.init makes of a parameter's own wish. `residuals`: matrices that end a residual branch. */
static Init effective(const Param *param, bool gpt2, size_t residuals) {
    Init init = param->init;
    if (!gpt2 || !init.gpt2) return init;
    init.kind = param->rank == 2 ? INIT_NORMAL : INIT_ZERO;
    init.scale = init.residual ? GPT2_DEVIATION / sqrt((double)residuals) : GPT2_DEVIATION;
    return init;
}

static real element(const Init *init, uint64_t stream, size_t i) {
    switch (init->kind) {
    case INIT_ZERO:
        return 0;
    case INIT_ONE:
        return 1;
    case INIT_UNIFORM:
        return (real)(init->scale * (2 * random_uniform(stream, i) - 1));
    case INIT_NORMAL:
        return (real)(init->scale * random_normal(stream, i));
    }
    return 0;
}

void model_init(Model *model, uint64_t seed, bool gpt2, size_t part, size_t parts) {
    size_t total = model->memory.parameters, residuals = 0;
    size_t from = (size_t)((double)total / (double)parts * (double)part);
    size_t to = part + 1 == parts ? total : (size_t)((double)total / (double)parts * (double)(part + 1));
    for (size_t p = 0; p < model->params; p++)
        if (model->param[p]->param.init.residual && model->param[p]->param.rank == 2) residuals++;
    for (size_t p = 0; p < model->params; p++) {
        const ParamNode *node = model->param[p];
        const Param *param = &node->param;
        if (param->same_as) continue;
        Init init = effective(param, gpt2, residuals);
        uint64_t stream = stream_of(seed, param->name);
        size_t first = param->offset < from ? from - param->offset : 0;
        for (size_t i = first; i < node->span && param->offset + i < to; i++) {
            bool zero = i >= param->count || (init.zero_row > 0 && i / param->dim[1] == init.zero_row - 1);
            param->v[i] = zero ? 0 : element(&init, stream, i);
        }
    }
}
