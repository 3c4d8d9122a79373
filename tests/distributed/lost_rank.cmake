# SPDX-License-Identifier: MIT
# One of RANKS ranks dies (HOW=kill) or stops (HOW=stop; chain: each waits for the next, the last one stops) at step 3:
# the job must end by itself, with one message, which names it. A launcher that notices a killed rank itself chooses
# its own exit code.
execute_process(COMMAND ${MPIEXEC} ${FLAG} ${RANKS} ${PROGRAM} ${HOW} ${VICTIM}
  TIMEOUT 30 RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
string(REPLACE ";" "," output "${output}") # else CMake takes it for the end of a list item
string(REGEX MATCHALL "lockstep: error: [^\n]*" messages "${output}")
list(LENGTH messages count)
set(where "rank ${VICTIM} \\(host [^ ]+, pid [0-9]+\\) was lost in phase (backward|reduce) at step 3")
if(HOW STREQUAL "kill")
  set(why "its process is gone")
else()
  set(why "it shows no life for [0-9]+ s")
endif()
if(NOT count EQUAL 1)
  message(FATAL_ERROR "expected one message, got ${count} (exit ${code}):\n${output}")
endif()
if(NOT messages MATCHES "${where}[^\n]*: ${why}[^,]*, start the same command again to resume")
  message(FATAL_ERROR "the message does not name rank ${VICTIM} (exit ${code}):\n${output}")
endif()
if(code EQUAL 0 OR (NOT HOW STREQUAL "kill" AND NOT code EQUAL 71))
  message(FATAL_ERROR "unexpected exit ${code}:\n${output}")
endif()
