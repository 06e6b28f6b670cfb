// SPDX-License-Identifier: Apache-2.0
// The seam by which a glibc with another layout is played: preloaded, it stands in front of glibc's own word of where a thread's number
// lies in its control block, and says another place. A glibc that is really laid out otherwise is not to be had for this.
#include <stdint.h>

const uint32_t _thread_db_pthread_tid[3] = {32, 1, 64};
