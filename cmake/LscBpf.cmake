# SPDX-License-Identifier: MIT
# lsc_bpf_skeleton(TARGET SOURCE): compiles SOURCE (NAME.bpf.c) for BPF and generates NAME.skel.h,
# which TARGET may then include.
find_program(LSC_CLANG NAMES clang clang-14 REQUIRED)
find_program(LSC_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

function(lsc_bpf_skeleton target source)
  get_filename_component(name ${source} NAME)
  string(REPLACE ".bpf.c" "" name ${name})
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/skel/${name}.skel.h)
  get_filename_component(dir ${source} ABSOLUTE)
  get_filename_component(dir ${dir} DIRECTORY)
  string(REPLACE "x86_64" "x86" arch ${CMAKE_SYSTEM_PROCESSOR})
  string(REPLACE "aarch64" "arm64" arch ${arch})
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/skel)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${LSC_CLANG} -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_${arch} -Wall -Wno-unused-function
            -I${PROJECT_SOURCE_DIR}/loop -I${dir} -MD -MF ${object}.d -MT ${skeleton}
            -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    COMMAND ${LSC_BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPFILE ${object}.d
    VERBATIM)
  target_sources(${target} PRIVATE ${skeleton})
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/skel)
endfunction()
