# SPDX-License-Identifier: Apache-2.0
# Run by cpack when the files of each component are in a directory of their own and not yet packed: adds what every Debian package
# has, compresses what Debian compresses, and makes all times and modes the same.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  set(ENV{SOURCE_DATE_EPOCH} ${CPACK_WEFT_SOURCE_DATE})
endif()

set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS})
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component})
  set(documents ${root}${CPACK_PACKAGING_INSTALL_PREFIX}/share/doc/${package})
  file(COPY ${CPACK_WEFT_DEBIAN_DIRECTORY}/copyright ${CPACK_WEFT_DEBIAN_DIRECTORY}/changelog DESTINATION ${documents} NO_SOURCE_PERMISSIONS)
  set(overrides ${CPACK_WEFT_DEBIAN_DIRECTORY}/${package}.lintian-overrides)
  if(EXISTS ${overrides})
    set(place ${root}${CPACK_PACKAGING_INSTALL_PREFIX}/share/lintian/overrides)
    file(COPY ${overrides} DESTINATION ${place} NO_SOURCE_PERMISSIONS)
    file(RENAME ${place}/${package}.lintian-overrides ${place}/${package})
  endif()
  file(GLOB pages ${root}${CPACK_PACKAGING_INSTALL_PREFIX}/share/man/man*/*)
  execute_process(COMMAND gzip -9n -- ${pages} ${documents}/changelog COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND chmod -R u=rwX,go=rX ${root} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND find ${root} -exec touch --no-dereference --date=@$ENV{SOURCE_DATE_EPOCH} {} + COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# dpkg-shlibdeps wants to be in a source package.
set(work ${CPACK_TEMPORARY_DIRECTORY}/shlibdeps)
file(WRITE ${work}/debian/control "Source: weft\n\nPackage: weft\nArchitecture: any\n")
file(GLOB libraries ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/library${CPACK_PACKAGING_INSTALL_PREFIX}/lib/*/*.so.*.*)
execute_process(COMMAND dpkg-shlibdeps -O ${libraries} WORKING_DIRECTORY ${work} OUTPUT_VARIABLE found COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "^shlibs:Depends=([^\n]*).*" "\\1" CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "${found}")
