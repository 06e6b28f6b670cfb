/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is linked with the library: says which version it was compiled against and which it runs with. */
#include <stdio.h>
#include <weft/version.h>

int main(void) {
  printf("compiled %s %d, runs %u\n", WEFT_VERSION_STRING, WEFT_VERSION, weft_version());
  return weft_version() < WEFT_VERSION;
}
