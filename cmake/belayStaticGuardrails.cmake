# belay_static_guardrails(app): clang-tidy looks at app's sources as they are compiled, with belay's checks (belay.clang-tidy, beside this
# file), and a finding is an error. Without clang-tidy 19 or later it warns and does nothing.
set(belay_clang_tidy_config "${CMAKE_CURRENT_LIST_DIR}/belay.clang-tidy")

function(belay_static_guardrails target)
    find_program(BELAY_CLANG_TIDY NAMES clang-tidy-19 clang-tidy DOC "clang-tidy 19 or later")
    mark_as_advanced(BELAY_CLANG_TIDY)
    if(BELAY_CLANG_TIDY)
        execute_process(COMMAND "${BELAY_CLANG_TIDY}" --version OUTPUT_VARIABLE version ERROR_QUIET)
        string(REGEX MATCH "version ([0-9]+)" found "${version}")
    endif()
    if(NOT BELAY_CLANG_TIDY OR NOT found OR CMAKE_MATCH_1 LESS 19)
        message(WARNING "belay: clang-tidy 19 or later is missing (Debian: clang-tidy-19): ${target} is built without static guardrails")
        return()
    endif()
    set_property(TARGET ${target} PROPERTY CXX_CLANG_TIDY "${BELAY_CLANG_TIDY};--config-file=${belay_clang_tidy_config}")
endfunction()
