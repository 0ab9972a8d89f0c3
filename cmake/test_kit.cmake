# belay::test_kit, which our own tests use and users get too: <belay/tests/kit/...>. It is one with the program that it is linked to, because
# it stands in front of the C library's clock there.
find_package(GTest REQUIRED)
file(GLOB kit_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/kit/*.cpp")
list(FILTER kit_sources EXCLUDE REGEX "_test\\.cpp$")
add_library(belay_test_kit STATIC ${kit_sources})
add_library(belay::test_kit ALIAS belay_test_kit)
set_target_properties(belay_test_kit PROPERTIES EXPORT_NAME test_kit)
target_link_libraries(belay_test_kit PUBLIC belay GTest::gtest PRIVATE ${CMAKE_DL_LIBS})
belay_strict(belay_test_kit)
