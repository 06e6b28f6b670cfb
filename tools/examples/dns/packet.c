/* SPDX-License-Identifier: Apache-2.0 */
/* DNS packets: questions written, answers read, with no byte looked at that did not come. */
#include "packet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
  header_size = 12,
  type_a = 1,
  class_in = 1,
  flag_answer = 0x8000,
  flag_truncated = 0x0200,
  flag_recurse = 0x0100,
  error_bits = 15
};

void dns_name(char name[64], int index) { snprintf(name, 64, "host%04d.weft.example", index); }

static uint16_t get16(const uint8_t* at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint8_t* put16(uint8_t* at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
  return at + 2;
}

size_t dns_question(uint8_t packet[dns_packet_size], uint16_t id, const char* name) {
  uint8_t* at = packet;
  at = put16(at, id);
  at = put16(at, flag_recurse);
  at = put16(at, 1); /* question */
  memset(at, 0, 6);  /* no answers, authorities, additional records */
  at += 6;
  while (*name != 0) {
    size_t length = strcspn(name, ".");
    *at++ = (uint8_t)length;
    memcpy(at, name, length);
    at += length;
    name += length + (name[length] == '.');
  }
  *at++ = 0;
  at = put16(at, type_a);
  at = put16(at, class_in);
  return (size_t)(at - packet);
}

/* Behind a name that begins at `at`: labels up to an empty one, or to a pointer elsewhere. Null: it does not end. */
static const uint8_t* behind_name(const uint8_t* at, const uint8_t* end) {
  while (at < end) {
    if (*at == 0) return at + 1;
    if (*at >= 0xc0) return at + 2 <= end ? at + 2 : NULL;
    at += 1 + *at;
  }
  return NULL;
}

enum dns_kind dns_answer(const uint8_t* packet, size_t size, uint16_t id, struct in_addr* address) {
  if (size < header_size || get16(packet) != id || !(get16(packet + 2) & flag_answer)) return dns_foreign;
  if (get16(packet + 2) & flag_truncated) return dns_truncated;
  if (get16(packet + 2) & error_bits) return dns_none;
  const uint8_t *at = packet + header_size, *end = packet + size;
  for (unsigned questions = get16(packet + 4); questions > 0; questions--) {
    at = behind_name(at, end);
    if (at == NULL || end - at < 4) return dns_none;
    at += 4;
  }
  for (unsigned answers = get16(packet + 6); answers > 0; answers--) {
    at = behind_name(at, end);
    if (at == NULL || end - at < 10) return dns_none;
    size_t length = get16(at + 8);
    if ((size_t)(end - at) < 10 + length) return dns_none;
    if (get16(at) == type_a && get16(at + 2) == class_in && length == sizeof *address) {
      memcpy(address, at + 10, sizeof *address);
      return dns_found;
    }
    at += 10 + length;
  }
  return dns_none;
}

void dns_report(const struct in_addr addresses[dns_look_ups], double seconds) {
  for (int index = 0; index < dns_look_ups; index++) {
    char name[64];
    dns_name(name, index);
    printf("%s %s\n", name, inet_ntoa(addresses[index]));
  }
  fprintf(stderr, "%d look-ups in %.3f s\n", dns_look_ups, seconds);
}

double dns_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
