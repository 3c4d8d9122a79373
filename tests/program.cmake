# SPDX-License-Identifier: MIT
# program_test(NAME SCRIPT RANKS [LABELS ...] [TIMEOUT s] [PROCESSORS n] [ARGUMENTS ...]): a test of the whole
# program by a shell script, which gets the program, the number of ranks (0: without a launcher) and the
# launcher; see lib.sh. Not added where it needs ranks and there is no MPI. PROCESSORS is how many it keeps busy, 2
# on ranks and else 1 if nothing is said: many short starts, and waiting for a lost rank, leave one idle.
include_guard()

function(program_test name script ranks)
  cmake_parse_arguments(PARSE_ARGV 3 test "" "TIMEOUT;PROCESSORS" "LABELS;ARGUMENTS")
  if(ranks GREATER 0 AND NOT LOCKSTEP_MPI)
    return()
  endif()
  if(NOT test_TIMEOUT)
    set(test_TIMEOUT 300)
  endif()
  set(processors 1)
  if(ranks GREATER 0)
    list(APPEND test_LABELS mpi)
    set(processors 2)
  else()
    list(APPEND test_LABELS short)
  endif()
  if(test_PROCESSORS)
    set(processors ${test_PROCESSORS})
  endif()
  add_test(NAME ${name} COMMAND sh ${CMAKE_SOURCE_DIR}/tests/${script} $<TARGET_FILE:lockstep> ${ranks}
    "${MPIEXEC_EXECUTABLE}" "${MPIEXEC_NUMPROC_FLAG}" ${test_ARGUMENTS})
  set_tests_properties(${name} PROPERTIES LABELS "${test_LABELS}" TIMEOUT ${test_TIMEOUT} PROCESSORS ${processors}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${TEST_ENVIRONMENT}")
endfunction()
