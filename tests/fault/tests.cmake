# SPDX-License-Identifier: MIT
# Every exit code that can be reached, alone and on two ranks.
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
add_executable(make_data fault/make_data.c)
target_include_directories(make_data SYSTEM PRIVATE ${HDF5_INCLUDE_DIRS})
target_compile_definitions(make_data PRIVATE H5_USE_110_API)
target_link_libraries(make_data PRIVATE ls_flags ${HDF5_C_LIBRARIES})

foreach(ranks 0 2)
  set(where alone)
  if(ranks)
    set(where ranks)
  endif()
  foreach(fault usage data checkpoint diverged writing stopped)
    program_test(fault_${fault}_${where} fault/${fault}.sh ${ranks} LABELS fault ARGUMENTS $<TARGET_FILE:make_data>)
  endforeach()
endforeach()
program_test(fault_lost_ranks fault/lost.sh 2 LABELS fault)
