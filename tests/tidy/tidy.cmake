# The house rules as tests; included last, when every target is known.
find_program(PYTHON3 python3 REQUIRED)
add_test(NAME tidy/tree COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tests/tidy/tidy.py ${CMAKE_SOURCE_DIR})
add_test(NAME tidy/rules COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tests/tidy/tidy_test.py)

# symbols_test(<binary> <folders whose code it must not hold>): what faces gateways cannot open an
# envelope, for every library made of these folders' sources, whatever it is called.
function(symbols_test binary)
  get_property(targets DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    get_target_property(sources ${target} SOURCES)
    foreach(folder ${ARGN})
      if(type STREQUAL STATIC_LIBRARY AND "${sources}" MATCHES "(^|;)${folder}/[a-z_]+\\.c")
        list(APPEND archives $<TARGET_FILE:${target}>)
      endif()
    endforeach()
  endforeach()
  add_test(NAME tidy/symbols-${binary} COMMAND ${PYTHON3} -B
    ${CMAKE_SOURCE_DIR}/tests/tidy/symbols.py ${CMAKE_NM} $<TARGET_FILE:cardkeep>
    $<TARGET_FILE:${binary}> ${archives})
endfunction()
symbols_test(cardkeep-relay keys vault)
symbols_test(cardkeep-sandbox keys vault policies relay)

# The guards of the release build are in what it built; and a program without them is told apart.
if(NOT CARDKEEP_ASAN AND NOT CARDKEEP_TSAN)
  foreach(binary cardkeep-vault cardkeep-relay cardkeep cardkeep-sandbox)
    add_test(NAME tidy/hardened-${binary} COMMAND ${PYTHON3} -B
      ${CMAKE_SOURCE_DIR}/tests/tidy/hardened.py ${CMAKE_READELF} $<TARGET_FILE:${binary}>)
  endforeach()
  add_test(NAME tidy/hardened-rules COMMAND ${PYTHON3} -B
    ${CMAKE_SOURCE_DIR}/tests/tidy/hardened.py --fails ${CMAKE_READELF} $<TARGET_FILE:unguarded>)
endif()
