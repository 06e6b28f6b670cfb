/* SPDX-License-Identifier: Apache-2.0 */
/* DNS packets as bytes (RFC 1035), and what the three programs have in common: which names, how many, how long to
 * wait. */
#ifndef EXAMPLES_DNS_PACKET_H
#define EXAMPLES_DNS_PACKET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum {
  dns_packet_size = 512,   /* the most by UDP */
  dns_message_size = 4096, /* the most we take by TCP */
  dns_look_ups = 1000,
  dns_at_once = 200, /* look-ups going on, so that answers fit into buffers */
  dns_tries = 5,
  dns_wait_ms = 1000 /* for an answer, before the question is asked again */
};

/* The name that look-up `index` is for. */
void dns_name(char name[64], int index);

/* Writes the question for a name's IPv4 address and returns its size. */
size_t dns_question(uint8_t packet[dns_packet_size], uint16_t id, const char* name);

enum dns_kind {
  dns_found,     /* here is the address */
  dns_truncated, /* it did not fit: ask again by TCP */
  dns_none,      /* there is no such name, or the server cannot say */
  dns_foreign    /* no answer to this question: wait for the right one */
};
enum dns_kind dns_answer(const uint8_t* packet, size_t size, uint16_t id, struct in_addr* address);

/* Prints all addresses in order, 0.0.0.0 for those without, and to stderr how long it took. */
void dns_report(const struct in_addr addresses[dns_look_ups], double seconds);

double dns_clock(void);

#endif
