# SPDX-License-Identifier: Apache-2.0
# How a test calls ./differential.

# differential_options(RESULT): the words for what cmake_parse_arguments has found in the caller's arguments, with the prefix arg_. What a
# counter has to show beyond that (EXPECT) comes apart, since not every run of a program has to show it.
macro(differential_options result)
  set(${result})
  foreach(option IN ITEMS STATUS THREADS PINNED REGIONS NATIVE RESCUES WORKERS FRONT BEHIND TIMEOUT)
    if(DEFINED arg_${option})
      string(TOLOWER ${option} word)
      list(APPEND ${result} --${word} ${arg_${option}})
    endif()
  endforeach()
  foreach(setting IN LISTS arg_ENV)
    list(APPEND ${result} --env ${setting})
  endforeach()
  if(arg_NOSTATS)
    list(APPEND ${result} --no-stats ${arg_NOSTATS})
  endif()
  if(arg_ROOT)
    list(APPEND ${result} --needs-root)
  endif()
endmacro()

macro(differential_expectations result)
  set(${result})
  foreach(expectation IN LISTS arg_EXPECT)
    list(APPEND ${result} --expect ${expectation})
  endforeach()
endmacro()

# differential_command(RESULT LIBRARY WORD…)
function(differential_command result library)
  set(${result} ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/differential --library ${library} --metrics ${PROJECT_SOURCE_DIR}/sched/metrics.def
                ${ARGN} PARENT_SCOPE)
endfunction()
