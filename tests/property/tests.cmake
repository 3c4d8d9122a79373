# SPDX-License-Identifier: MIT
# Layers of random shapes against the reference of this folder, and against PyTorch where it is installed.
file(GLOB PROPERTY CONFIGURE_DEPENDS property/*.c)
add_executable(test_property ${PROPERTY})
target_link_libraries(test_property PRIVATE ls_trainer)
set(PROPERTY_DRAWS 200)
if(LOCKSTEP_SANITIZE)
  set(PROPERTY_DRAWS 30)
endif()
add_test(NAME property COMMAND test_property --draws ${PROPERTY_DRAWS})
# Threads that spin between kernels so small would be most of the time.
set_tests_properties(property PROPERTIES LABELS short TIMEOUT 300 ENVIRONMENT "OMP_WAIT_POLICY=passive;${TEST_ENVIRONMENT}")

# Skipped unless LOCKSTEP_PYTHON (python3) finds torch and numpy.
add_test(NAME property_torch COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/property/torch_property.sh $<TARGET_FILE:test_property>)
set_tests_properties(property_torch PROPERTIES LABELS torch TIMEOUT 900 SKIP_RETURN_CODE 77 ENVIRONMENT "OMP_WAIT_POLICY=passive;${TEST_ENVIRONMENT}")
