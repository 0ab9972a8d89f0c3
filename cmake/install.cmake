# Installed: the headers, the library, the CMake package `belay`, belay.pc, and what reads core dumps and reports.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(room IN LISTS BELAY_ROOMS)
    if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/${room}")
        # A folder `impl` holds headers that only our own .cpp files include.
        install(DIRECTORY ${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/belay
            FILES_MATCHING PATTERN "*.hpp" PATTERN impl EXCLUDE)
    endif()
endforeach()
if(EXISTS "${PROJECT_SOURCE_DIR}/belay.hpp")
    install(FILES belay.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/belay)
endif()

if(TARGET belay_test_kit)
    install(DIRECTORY tests/kit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/belay/tests
        FILES_MATCHING PATTERN "*.hpp" PATTERN planted EXCLUDE)
endif()

set(belay_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/belay)
install(TARGETS belay belay_asio belay_prometheus belay_guard belay_guard_preload EXPORT belayTargets
    OBJECTS DESTINATION ${CMAKE_INSTALL_LIBDIR}/belay)
install(EXPORT belayTargets NAMESPACE belay:: DESTINATION ${belay_package_dir})
if(TARGET belay_test_kit)  # by itself, because only who asks for it needs GoogleTest
    install(TARGETS belay_test_kit EXPORT belayTestKitTargets)
    install(EXPORT belayTestKitTargets NAMESPACE belay:: DESTINATION ${belay_package_dir})
endif()
configure_package_config_file(cmake/belayConfig.cmake.in "${PROJECT_BINARY_DIR}/package/belayConfig.cmake"
    INSTALL_DESTINATION ${belay_package_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/belayConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES cmake/belayStaticGuardrails.cmake cmake/belay.clang-tidy DESTINATION ${belay_package_dir})
install(FILES "${PROJECT_BINARY_DIR}/package/belayConfig.cmake" "${PROJECT_BINARY_DIR}/package/belayConfigVersion.cmake"
    DESTINATION ${belay_package_dir})

# pkg-config knows no conditions, so the flags of the compiler that built the library go in.
set(flags ${belay_public_flags} ${belay_sanitize_flags})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND flags ${belay_gcc_flags})
endif()
list(JOIN flags " " BELAY_PC_CFLAGS)
list(JOIN belay_sanitize_flags " " BELAY_PC_LDFLAGS)
# A shared library brings its dependencies along; a static one leaves them to the program that links it, and
# `Requires` rather than `Requires.private` saves everybody who has only the static library from needing --static.
set(BELAY_PC_REQUIRES "")
if(NOT BUILD_SHARED_LIBS)
    set(BELAY_PC_REQUIRES "liburing >= 2.3, spdlog, prometheus-cpp-core")
endif()
# Relative, so that an installation can be moved.
file(RELATIVE_PATH BELAY_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/belay.pc.in "${PROJECT_BINARY_DIR}/package/belay.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/package/belay.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES scripts/gdb/belay.py DESTINATION ${CMAKE_INSTALL_DATADIR}/belay/gdb)
install(PROGRAMS scripts/symbolize DESTINATION ${CMAKE_INSTALL_DATADIR}/belay)
