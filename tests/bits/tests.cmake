# SPDX-License-Identifier: MIT
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
program_test(bits_alone bits/alone.sh 0 PROCESSORS 2)
program_test(bits_ranks bits/ranks.sh 2)
program_test(bits_matrix bits/matrix.sh 2 LABELS slow TIMEOUT 1200)
