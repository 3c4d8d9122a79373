# SPDX-License-Identifier: MIT
foreach(check house house_catches format scripts packages_reports)
  add_test(NAME lint_${check} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/lint/${check}.sh ${CMAKE_SOURCE_DIR})
  set_tests_properties(lint_${check} PROPERTIES LABELS "short;lint" TIMEOUT 120 SKIP_RETURN_CODE 77)
endforeach()
