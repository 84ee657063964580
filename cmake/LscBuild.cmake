# SPDX-License-Identifier: MIT
# Compiler settings and the two helpers that every module uses: lsc_library() and lsc_test().
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_compile_options(-Wall -Wextra -Wno-missing-field-initializers -Wstrict-prototypes
                    -Wmissing-prototypes -Wshadow -fno-strict-aliasing)
# Names of sources are stored in rings and debug information: relative ones, wherever this was built.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
add_compile_definitions(_GNU_SOURCE LSC_VERSION="${PROJECT_VERSION}")
if(DEFINED ENV{CI})
  add_compile_options(-Werror)
endif()

set(LSC_SANITIZE "" CACHE STRING "value for -fsanitize=")
if(LSC_SANITIZE)
  # gcc says of itself that -Wmaybe-uninitialized is wrong more often beside sanitizers
  add_compile_options(-fsanitize=${LSC_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
                      $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_link_options(-fsanitize=${LSC_SANITIZE})
endif()

find_package(PkgConfig REQUIRED)

# lsc_library(NAME SOURCES ... LINKS ...): a static module library. It sees its own directory and
# the public headers of what it links, nothing else: an include that is not linked does not resolve.
function(lsc_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINKS;INCLUDES" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC ${A_INCLUDES})
  target_link_libraries(${name} PUBLIC ${A_LINKS})
endfunction()

# lsc_test(NAME SOURCES ... LINKS ... [LABELS bpf]): one cmocka program, one ctest entry.
function(lsc_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LINKS;LABELS;ENVIRONMENT" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LINKS} PkgConfig::CMOCKA)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT}
                       ENVIRONMENT "${A_ENVIRONMENT}" SKIP_RETURN_CODE 77)
endfunction()
