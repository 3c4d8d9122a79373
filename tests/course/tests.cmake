# SPDX-License-Identifier: MIT
# course_score_<config>: every config that names a score runs as it is and reaches it, alone and on two ranks.
# course_torch_<config>: from PyTorch's initial weights it finds PyTorch's losses, weights and predictions.
# The default run leaves most of those on ranks, and what takes minutes, to the label slow.
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
set(LONG_CONFIGS gpt dates number_words reverse)
set(SHORT_ON_RANKS hello_rnn weather sentiment)

add_executable(test_course course/test_course.c golden/golden_file.c)
target_include_directories(test_course SYSTEM PRIVATE ${HDF5_INCLUDE_DIRS})
target_link_libraries(test_course PRIVATE ls_trainer cmocka ${HDF5_C_LIBRARIES})
target_compile_definitions(test_course PRIVATE H5_USE_110_API)

function(course_torch config suffix labels)
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/course/${config}.h5)
    return() # a config that make_course.py does not know
  endif()
  add_test(NAME course_torch_${config}${suffix} COMMAND test_course configs/${config}.yaml
    ${CMAKE_CURRENT_SOURCE_DIR}/course/${config}.h5 $<TARGET_FILE:lockstep> ${CMAKE_SOURCE_DIR} ${ARGN})
  set_tests_properties(course_torch_${config}${suffix} PROPERTIES LABELS "course;${labels}" TIMEOUT 120
    ENVIRONMENT "${TEST_ENVIRONMENT};OMP_NUM_THREADS=1")
  if(ARGN)
    set_tests_properties(course_torch_${config}${suffix} PROPERTIES PROCESSORS 2)
  endif()
endfunction()

file(GLOB CONFIGS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/configs/*.yaml)
foreach(file ${CONFIGS})
  get_filename_component(config ${file} NAME_WE)
  file(STRINGS ${file} score REGEX "^# Score: ")
  if(NOT score)
    continue()
  endif()
  set(labels)
  if(config IN_LIST LONG_CONFIGS)
    set(labels slow)
  endif()
  program_test(course_score_${config} course/score.sh 0 LABELS course ${labels} TIMEOUT 1000 ARGUMENTS ${config})
  course_torch(${config} "" short)
  set(labels)
  if(NOT config IN_LIST SHORT_ON_RANKS)
    set(labels slow)
  endif()
  program_test(course_score_${config}_ranks course/score.sh 2 LABELS course ${labels} TIMEOUT 1000 ARGUMENTS ${config})
  if(LOCKSTEP_MPI)
    course_torch(${config} _ranks "mpi;slow" 2)
  endif()
endforeach()

program_test(course_torch_loads course/torch_loads.sh 0 LABELS course torch)
