# azoth_layer(NAME DEPENDS layer... SOURCES file... LIBS target...)
#
# One library per layer. Its public headers are LAYER/include, everything else is private. A layer may depend only on
# the layers its row of the table below names; because each layer has an include root of its own, a header of a layer
# that is not named does not resolve, so an upward include does not compile.
set(AZOTH_ARROWS_core "")
set(AZOTH_ARROWS_lockmgr core)
set(AZOTH_ARROWS_canonical core lockmgr)
set(AZOTH_ARROWS_projection core)
set(AZOTH_ARROWS_backup core canonical projection)
set(AZOTH_ARROWS_db core lockmgr canonical projection backup)

add_library(azoth_flags INTERFACE)
target_compile_options(azoth_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Wformat=2 -fstack-protector-strong)
# Of g++ 12, on "literal" + std::to_string(...), wrongly (GCC bug 105329).
target_compile_options(azoth_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_compile_definitions(azoth_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)
if(AZOTH_SANITIZE)
  add_compile_options(-fsanitize=${AZOTH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AZOTH_SANITIZE})
endif()

function(azoth_layer name)
  cmake_parse_arguments(LAYER "" "" "DEPENDS;SOURCES;LIBS" ${ARGN})
  foreach(dependency IN LISTS LAYER_DEPENDS)
    if(NOT dependency IN_LIST AZOTH_ARROWS_${name})
      message(FATAL_ERROR "layer '${name}' may not depend on '${dependency}' (cmake/azoth_layer.cmake)")
    endif()
  endforeach()
  add_library(azoth_${name} STATIC ${LAYER_SOURCES})
  add_library(azoth::${name} ALIAS azoth_${name})
  target_include_directories(azoth_${name} PUBLIC include PRIVATE src)
  list(TRANSFORM LAYER_DEPENDS PREPEND azoth::)
  target_link_libraries(azoth_${name} PUBLIC ${LAYER_DEPENDS} PRIVATE azoth_flags ${LAYER_LIBS})
  azoth_precompile(azoth_${name})
endfunction()
