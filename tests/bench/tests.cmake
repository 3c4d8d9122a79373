# SPDX-License-Identifier: MIT
# Benchmarks: built on request (cmake --build DIR --target bench_gemm), run by hand.
pkg_check_modules(OPENBLAS QUIET IMPORTED_TARGET openblas)
file(GLOB BENCH CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bench/bench_*.c)
foreach(source ${BENCH})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} EXCLUDE_FROM_ALL ${source})
  target_link_libraries(${name} PRIVATE ls_layers OpenMP::OpenMP_C)
  if(OPENBLAS_FOUND)
    target_link_libraries(${name} PRIVATE PkgConfig::OPENBLAS)
    target_compile_definitions(${name} PRIVATE HAVE_CBLAS)
  endif()
endforeach()

# Not of speed but of memory: it really runs the layer, and fails beyond 1 GiB.
add_executable(attention_long bench/attention_long.c)
target_link_libraries(attention_long PRIVATE ls_layers)
add_test(NAME attention_long COMMAND attention_long)
set_tests_properties(attention_long PROPERTIES LABELS slow PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "${TEST_ENVIRONMENT}")
