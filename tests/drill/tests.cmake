# SPDX-License-Identifier: MIT
# A newcomer adds a layer as layers/README.md says.
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
program_test(drill_new_layer drill/new_layer.sh 0 PROCESSORS 2 LABELS drill ARGUMENTS ${CMAKE_COMMAND})
