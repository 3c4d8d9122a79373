/* SPDX-License-Identifier: MIT
 *
 * real.h: the element type of activations, parameters and gradients. The program uses float; the
 * tests build all of layers/ a second time with double, for gradient checks. */
#ifndef LOCKSTEP_LAYERS_REAL_H
#define LOCKSTEP_LAYERS_REAL_H

#ifdef LOCKSTEP_REAL_DOUBLE
typedef double real;
#define REAL(literal) literal
#else
typedef float real;
#define REAL(literal) literal##f
#endif

#endif
