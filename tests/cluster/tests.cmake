# SPDX-License-Identifier: MIT
# Several hosts on one machine (see hosts.sh); skipped where namespaces are not permitted.
include(${CMAKE_CURRENT_SOURCE_DIR}/program.cmake)
program_test(cluster_layouts cluster/layouts.sh 4 LABELS cluster TIMEOUT 180)
program_test(cluster_lost cluster/lost.sh 4 LABELS "cluster;fault" TIMEOUT 240 ARGUMENTS kill host)
program_test(cluster_lost_long cluster/lost.sh 4 LABELS "cluster;fault;slow" TIMEOUT 600 ARGUMENTS stop cut)
program_test(cluster_forecast cluster/forecast.sh 4 LABELS "cluster;slow" TIMEOUT 180 PROCESSORS 2)
program_test(cluster_hidden cluster/hidden.sh 4 LABELS "cluster;slow" TIMEOUT 180 PROCESSORS 2)
