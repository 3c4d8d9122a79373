# SPDX-License-Identifier: MIT
# Builds the program a second time, with clang, so among the slow ones.
if(LOCKSTEP_MPI)
  add_test(NAME threads_clean COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/threads/clean.sh ${CMAKE_SOURCE_DIR}
    ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG})
  set_tests_properties(threads_clean PROPERTIES LABELS "slow;mpi" TIMEOUT 1200 PROCESSORS 2 SKIP_RETURN_CODE 77
    ENVIRONMENT "${TEST_ENVIRONMENT}")
endif()
