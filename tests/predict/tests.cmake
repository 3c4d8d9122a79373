# SPDX-License-Identifier: MIT
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
program_test(predict_alone predict/series.sh 0)
program_test(predict_ranks predict/series.sh 2)
program_test(predict_texts predict/texts.sh 0)
program_test(predict_bpe predict/bpe.sh 0)
program_test(predict_prepare predict/prepare.sh 0)
program_test(predict_export predict/export.sh 0)
program_test(predict_plot predict/plot.sh 0)
