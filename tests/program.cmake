# SPDX-License-Identifier: MIT
# program_test(NAME SCRIPT RANKS [LABELS ...] [TIMEOUT s] [PROCESSORS n] [ARGUMENTS ...]): a test of the whole
# program by a shell script, which gets the program, the number of ranks (0: without a launcher) and the
# launcher; see lib.sh. Not added where it needs ranks and there is no MPI.
include_guard()

function(program_test name script ranks)
  cmake_parse_arguments(PARSE_ARGV 3 test "" "TIMEOUT;PROCESSORS" "LABELS;ARGUMENTS")
  if(ranks GREATER 0 AND NOT LOCKSTEP_MPI)
    return()
  endif()
  if(NOT test_TIMEOUT)
    set(test_TIMEOUT 300)
  endif()
  if(NOT test_PROCESSORS)
    set(test_PROCESSORS 1)
  endif()
  if(ranks GREATER 0)
    list(APPEND test_LABELS mpi)
    set(test_PROCESSORS 2)
  else()
    list(APPEND test_LABELS short)
  endif()
  add_test(NAME ${name} COMMAND sh ${CMAKE_SOURCE_DIR}/tests/${script} $<TARGET_FILE:lockstep> ${ranks}
    "${MPIEXEC_EXECUTABLE}" "${MPIEXEC_NUMPROC_FLAG}" ${test_ARGUMENTS})
  set_tests_properties(${name} PROPERTIES LABELS "${test_LABELS}" TIMEOUT ${test_TIMEOUT} PROCESSORS ${test_PROCESSORS}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${TEST_ENVIRONMENT}")
endfunction()
