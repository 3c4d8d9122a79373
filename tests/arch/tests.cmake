# SPDX-License-Identifier: MIT
# The same bits on every instruction set: those of this machine, and AArch64's under an emulator where its
# compiler and qemu are installed.
add_executable(kernel_digest ${CMAKE_CURRENT_LIST_DIR}/kernel_digest.c)
target_link_libraries(kernel_digest PRIVATE ls_layers)
add_test(NAME arch_digest COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/digest.sh $<TARGET_FILE:kernel_digest> ${CMAKE_SOURCE_DIR})
add_test(NAME arch_digest_aarch64
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/digest.sh $<TARGET_FILE:kernel_digest> ${CMAKE_SOURCE_DIR} aarch64)
set_tests_properties(arch_digest arch_digest_aarch64 PROPERTIES LABELS short TIMEOUT 300 SKIP_RETURN_CODE 77)
