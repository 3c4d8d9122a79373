# SPDX-License-Identifier: MIT
# Ranks that sum, talk and are lost, on one machine: nodes of all ranks, of one and of at most two.
add_executable(rank_reduce distributed/rank_reduce.c distributed/rank_talk.c)
target_link_libraries(rank_reduce PRIVATE ls_comm OpenMP::OpenMP_C)

add_test(NAME ranks_alone COMMAND rank_reduce reduce 13 49168)
set_tests_properties(ranks_alone PROPERTIES LABELS short TIMEOUT 60)
# More threads than any machine has cores: starts itself again, with the same arguments.
add_test(NAME ranks_crowded COMMAND rank_reduce reduce 5 100000)
set_tests_properties(ranks_crowded PROPERTIES LABELS short TIMEOUT 60 ENVIRONMENT "OMP_NUM_THREADS=1030"
  PASS_REGULAR_EXPRESSION "set OMP_NUM_THREADS=" FAIL_REGULAR_EXPRESSION "error|rank_(reduce|talk)\\.c")

# Several tasks that know nothing of each other must not become several runs.
add_test(NAME ranks_apart COMMAND rank_reduce reduce 5 100)
if(LOCKSTEP_MPI)
  set_tests_properties(ranks_apart PROPERTIES LABELS mpi TIMEOUT 60 PASS_REGULAR_EXPRESSION "4 tasks.*srun --mpi=pmix"
    ENVIRONMENT "${TEST_ENVIRONMENT};SLURM_STEP_NUM_TASKS=4;SLURM_PROCID=0")
else()
  set_tests_properties(ranks_apart PROPERTIES LABELS short TIMEOUT 60 PASS_REGULAR_EXPRESSION "2 were started.*built without MPI"
    ENVIRONMENT "OMPI_COMM_WORLD_SIZE=2;OMPI_COMM_WORLD_RANK=0")
endif()

include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
add_executable(rank_memory distributed/rank_memory.c)
target_link_libraries(rank_memory PRIVATE ls_trainer)
program_test(ranks_memory distributed/memory.sh 4 ARGUMENTS $<TARGET_FILE:rank_memory>)

if(LOCKSTEP_MPI)
  # A benchmark, built on request and run by hand.
  add_executable(rank_update EXCLUDE_FROM_ALL distributed/rank_update.c)
  target_link_libraries(rank_update PRIVATE ls_trainer OpenMP::OpenMP_C MPI::MPI_C)
  set(MPIRUN ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG})
  foreach(ranks 1 2 3 4 5)
    foreach(share all none 2)
      set(name ranks_${ranks}_${share})
      add_test(NAME ${name} COMMAND ${MPIRUN} ${ranks} ${MPIEXEC_PREFLAGS} $<TARGET_FILE:rank_reduce> reduce
        5 100000 8 32768 13 49168 3 16)
      set_tests_properties(${name} PROPERTIES LABELS mpi TIMEOUT 120 PROCESSORS 2
        ENVIRONMENT "${TEST_ENVIRONMENT};LOCKSTEP_TIMEOUT=60;LOCKSTEP_SHARE=${share}")
    endforeach()
  endforeach()

  # Several buckets, uneven nodes among them.
  foreach(case "2 none 3" "3 2 5" "4 2 7" "3 all 3")
    string(REPLACE " " ";" parts ${case})
    list(GET parts 0 ranks)
    list(GET parts 1 share)
    list(GET parts 2 shards)
    set(name ranks_buckets_${ranks}_${share})
    add_test(NAME ${name} COMMAND ${MPIRUN} ${ranks} ${MPIEXEC_PREFLAGS} $<TARGET_FILE:rank_reduce> reduce ${shards} 1300016)
    set_tests_properties(${name} PROPERTIES LABELS mpi TIMEOUT 240 PROCESSORS 2
      ENVIRONMENT "${TEST_ENVIRONMENT};LOCKSTEP_TIMEOUT=60;LOCKSTEP_SHARE=${share}")
  endforeach()

  function(add_lost_test how share ranks victim)
    set(name lost_${how}_${share}_${victim}_of_${ranks})
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -DMPIEXEC=${MPIEXEC_EXECUTABLE} -DFLAG=${MPIEXEC_NUMPROC_FLAG}
      -DRANKS=${ranks} -DPROGRAM=$<TARGET_FILE:rank_reduce> -DHOW=${how} -DVICTIM=${victim}
      -P ${CMAKE_CURRENT_SOURCE_DIR}/distributed/lost_rank.cmake)
    set_tests_properties(${name} PROPERTIES LABELS "mpi;fault" TIMEOUT 60 PROCESSORS 2
      ENVIRONMENT "${TEST_ENVIRONMENT};LOCKSTEP_TIMEOUT=3;LOCKSTEP_SHARE=${share}")
  endfunction()
  foreach(how kill stop)
    foreach(share all none 2)
      add_lost_test(${how} ${share} 2 0)
      add_lost_test(${how} ${share} 2 1)
      add_lost_test(${how} ${share} 4 2)
    endforeach()
  endforeach()
  foreach(share all none 2)
    add_lost_test(chain ${share} 5 4)
  endforeach()
endif()

# Address sanitizer wants to be the first library of a program.
if(LOCKSTEP_MPI AND NOT LOCKSTEP_SANITIZE)
  add_library(count_messages SHARED distributed/count_messages.c)
  target_link_libraries(count_messages PRIVATE ls_flags MPI::MPI_C)
  include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
  program_test(messages_matched distributed/messages.sh 2 ARGUMENTS $<TARGET_FILE:count_messages>)
endif()
