# SPDX-License-Identifier: MIT
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
program_test(bits_alone bits/alone.sh 0 PROCESSORS 2)
program_test(bits_ranks bits/ranks.sh 2)
program_test(bits_share bits/share.sh 2)
program_test(bits_matrix bits/matrix.sh 2 LABELS slow TIMEOUT 1200)
# Every config there is, new ones too.
program_test(bits_configs_alone bits/configs.sh 0 PROCESSORS 2 ARGUMENTS threads)
program_test(bits_configs_ranks bits/configs.sh 2 ARGUMENTS diagonal)
file(GLOB CONFIGS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/configs/*.yaml ${CMAKE_CURRENT_SOURCE_DIR}/bits/*.yaml)
foreach(file ${CONFIGS})
  get_filename_component(config ${file} NAME_WE)
  program_test(bits_matrix_${config} bits/configs.sh 2 LABELS slow TIMEOUT 1800 ARGUMENTS matrix ${config})
endforeach()
