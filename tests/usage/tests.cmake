# SPDX-License-Identifier: MIT
# What users and scripts rely on, alone and on two ranks.
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
foreach(ranks 0 2)
  set(where alone)
  if(ranks)
    set(where ranks)
  endif()
  foreach(name run output hello json terminal trace)
    program_test(usage_${name}_${where} usage/${name}.sh ${ranks} PROCESSORS 1)
  endforeach()
endforeach()
