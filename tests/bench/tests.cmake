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
