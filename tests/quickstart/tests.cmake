# SPDX-License-Identifier: MIT
if(LOCKSTEP_MPI)
  add_test(NAME quickstart COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/quickstart/fresh_copy.sh ${CMAKE_SOURCE_DIR})
  set_tests_properties(quickstart PROPERTIES LABELS "slow;mpi" TIMEOUT 900 RUN_SERIAL ON)
endif()
