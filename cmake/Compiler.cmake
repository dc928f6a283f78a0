# Language, warnings, build types and sanitizers: the flags that every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_program(STONECHAT_CCACHE ccache)
if(STONECHAT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${STONECHAT_CCACHE}")
endif()

# Programs name their sources from here, whichever folder they were built in, so ccache finds objects of other clones.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")

# The same source must round the same way on every machine (docs/decisions/0001): the compiler may not fuse a
# multiply and an add on its own; where the kernels want one they say so.
add_compile_options(-ffp-contract=off -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)  # warns falsely about std::string concatenation (GCC bug 105651)
endif()
if(STONECHAT_WERROR)
  add_compile_options(-Werror)
endif()

if(STONECHAT_SANITIZE)
  add_compile_options(-fsanitize=${STONECHAT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${STONECHAT_SANITIZE})
  if(STONECHAT_SANITIZE MATCHES address)
    # Where the program may lie anywhere in memory, each start writes 40 MB of addresses into the sanitizers' tables.
    add_compile_options(-fno-pie)
    add_link_options(-no-pie)
  endif()
endif()
