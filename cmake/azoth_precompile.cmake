# azoth_precompile(TARGET): what nearly every file includes of the C++ library is compiled once, with azoth_core, for all
# that is compiled with the same options. That is a sixth of a whole build; but a file that includes too little compiles
# with it all the same, so only scripts/test asks for it.
option(AZOTH_PRECOMPILE "Compile the headers of the C++ library once" OFF)
set(AZOTH_PRECOMPILED_HEADERS <algorithm> <array> <atomic> <cerrno> <chrono> <condition_variable> <cstdint> <cstring>
  <exception> <filesystem> <functional> <limits> <map> <memory> <mutex> <new> <optional> <set> <span> <string>
  <string_view> <thread> <utility> <variant> <vector>)
# Of g++ 12, on strings made of literals: wrongly, and no longer hidden as those of system headers when precompiled.
set(AZOTH_FALSE_WARNINGS $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread>)

function(azoth_precompile target)
  if(NOT AZOTH_PRECOMPILE)
    return()
  endif()
  target_compile_options(${target} PRIVATE ${AZOTH_FALSE_WARNINGS})
  if(target STREQUAL azoth_core)
    target_precompile_headers(${target} PRIVATE ${AZOTH_PRECOMPILED_HEADERS})
  else()
    target_precompile_headers(${target} REUSE_FROM azoth_core)
  endif()
endfunction()
