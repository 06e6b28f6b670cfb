# SPDX-License-Identifier: Apache-2.0
# Run by cpack when the packages are made: dpkg-deb packs them once more, since what CPack writes of itself has the modes that the umask
# leaves.
foreach(package IN LISTS CPACK_PACKAGE_FILES)
  set(root ${CPACK_TEMPORARY_DIRECTORY}/unpacked)
  file(REMOVE_RECURSE ${root})
  execute_process(COMMAND sh -c [[umask 022 && dpkg-deb --raw-extract "$1" "$2" && dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$2" "$1"]] sh ${package} ${root}
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endforeach()
