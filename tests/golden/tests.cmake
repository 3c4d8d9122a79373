# SPDX-License-Identifier: MIT
# golden_<case>: one per file; golden_ranks_<case>: the same training on two ranks, for some of them.
add_executable(test_golden golden/test_golden.c golden/golden_file.c)
target_include_directories(test_golden SYSTEM PRIVATE ${HDF5_INCLUDE_DIRS})
target_link_libraries(test_golden PRIVATE ls_trainer cmocka ${HDF5_C_LIBRARIES})
target_compile_definitions(test_golden PRIVATE H5_USE_110_API)

file(GLOB GOLDEN CONFIGURE_DEPENDS golden/*.h5)
foreach(file ${GOLDEN})
  get_filename_component(case ${file} NAME_WE)
  add_test(NAME golden_${case} COMMAND test_golden ${file} $<TARGET_FILE:lockstep>)
  set_tests_properties(golden_${case} PROPERTIES LABELS "short;golden" TIMEOUT 120 ENVIRONMENT "${TEST_ENVIRONMENT}")
endforeach()

if(LOCKSTEP_MPI)
  foreach(case lstm_2_both gru_2_both select_final one_hot_rnn_alone clip_adam_short_batch sgd_nesterov smoothing_and_ignore
               gpt lstm_state_context gru_state_learned encoder_pre_norm_final multi_head_three basic_attention_both channel_attention
               seq2seq_lstm seq2seq_transformer_pre embedding_max_norm embedding_max_norm_1_adamw embedding_by_freq
               embedding_by_freq_max_norm embedding_by_freq_tied embedding_sparse embedding_sparse_adam
               embedding_sparse_adam_max_norm)
    add_test(NAME golden_ranks_${case} COMMAND test_golden ${CMAKE_CURRENT_SOURCE_DIR}/golden/${case}.h5 $<TARGET_FILE:lockstep> 2)
    set_tests_properties(golden_ranks_${case} PROPERTIES LABELS "mpi;golden" PROCESSORS 1 TIMEOUT 120 ENVIRONMENT "${TEST_ENVIRONMENT}")
  endforeach()
endif()

# Skipped unless LOCKSTEP_PYTHON (python3) finds torch and h5py.
add_executable(write_logits golden/write_logits.c)
target_link_libraries(write_logits PRIVATE ls_trainer)
add_test(NAME golden_torch_reads COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/golden/torch_reads.sh $<TARGET_FILE:lockstep>
  $<TARGET_FILE:write_logits>)
set_tests_properties(golden_torch_reads PROPERTIES LABELS "short;golden" TIMEOUT 120 SKIP_RETURN_CODE 77 ENVIRONMENT "${TEST_ENVIRONMENT}")
