// SPDX-License-Identifier: Apache-2.0
// Names of functions without their arguments, and ELF notes that somebody has damaged.
#include "symbols.h"

#include <gtest/gtest.h>

#include <cstring>

#include "elf_image.h"

namespace weft::inspect {
namespace {

TEST(Names, lose_their_arguments) {
  EXPECT_EQ(without_arguments("main"), "main");
  EXPECT_EQ(without_arguments("ns::f(int, char (*)(int))"), "ns::f");
  EXPECT_EQ(without_arguments("A<int (*)(char)>::g(int) const"), "A<int (*)(char)>::g");
  EXPECT_EQ(without_arguments("(anonymous namespace)::f()"), "(anonymous namespace)::f");
  EXPECT_EQ(without_arguments("A::operator()(int)"), "A::operator()");
  EXPECT_EQ(without_arguments("f()::{lambda()#1}::operator()() const"), "f()::{lambda()#1}::operator()");
  EXPECT_EQ(without_arguments("f(int) [clone .cold]"), "f");
  EXPECT_EQ(without_arguments("module.so+0x12"), "module.so+0x12");
}

TEST(Notes, end_where_they_do_not_fit) {
  struct {
    uint32_t name_size = 5, size = 8, type = 1;
    char name[8] = "WEFT";
    int64_t content = 42;
  } note;
  static_assert(sizeof note == 32);
  char bytes[24 + 4];
  memcpy(bytes, &note, 12);
  memcpy(bytes + 12, "WEFT\0\0\0", 8);
  memcpy(bytes + 20, &note.content, 8);
  int seen = 0;
  auto count = [&](const Note& each) {
    seen++;
    EXPECT_EQ(each.name, "WEFT");
    EXPECT_EQ(each.content.size(), 8u);
    EXPECT_EQ(each.offset, 20u);
  };
  for_each_note({bytes, sizeof bytes}, count);
  EXPECT_EQ(seen, 1);
  for (size_t length = 0; length < sizeof bytes; length++) for_each_note({bytes, length}, count);
  EXPECT_EQ(seen, 1);
  const uint32_t huge = ~0u;
  memcpy(bytes + 4, &huge, 4);
  for_each_note({bytes, sizeof bytes}, count);
  memcpy(bytes, &huge, 4);
  for_each_note({bytes, sizeof bytes}, count);
  EXPECT_EQ(seen, 1);
}

TEST(Headers, are_refused_where_they_lie_outside) {
  std::vector<char> file(4096);
  std::vector<ProgramHeader> headers;
  memcpy(file.data(), "\177ELF\2\1\1", 7);
  EXPECT_TRUE(program_headers(file, &headers) == false);  // entries of size 0
  const uint16_t entry = 56, number = 200;
  const uint64_t offset = ~uint64_t{0} - 8;
  memcpy(file.data() + 54, &entry, 2);
  memcpy(file.data() + 56, &number, 2);
  memcpy(file.data() + 32, &offset, 8);
  EXPECT_FALSE(program_headers(file, &headers));
  EXPECT_FALSE(program_headers({file.data(), 20}, &headers));
}

}  // namespace
}  // namespace weft::inspect
