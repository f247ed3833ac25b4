# The house rules as tests; included last, when every target is known.
find_program(PYTHON3 python3 REQUIRED)
add_test(NAME tidy/tree COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tests/tidy/tidy.py ${CMAKE_SOURCE_DIR})
add_test(NAME tidy/rules COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tests/tidy/tidy_test.py)

# symbols_test(<without> <archives of what it must not hold>): what faces gateways cannot open an envelope.
function(symbols_test binary)
  if(NOT TARGET ${binary})
    return() # BOOTSTRAP
  endif()
  foreach(archive ${ARGN})
    if(TARGET ${archive})
      list(APPEND files $<TARGET_FILE:${archive}>)
    endif()
  endforeach()
  add_test(NAME tidy/symbols-${binary} COMMAND ${PYTHON3} -B
    ${CMAKE_SOURCE_DIR}/tests/tidy/symbols.py ${CMAKE_NM} $<TARGET_FILE:cardkeep>
    $<TARGET_FILE:${binary}> ${files})
endfunction()
symbols_test(cardkeep-relay keys vault keeper)
symbols_test(cardkeep-sandbox keys vault keeper policies)
