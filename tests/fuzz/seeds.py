#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of all fuzzers from the ELF file of small_target.cc: seeds.py SMALL_TARGET CORPUS

A core with its notes, a snapshot, an image of memory; each as it should be, and with the parts that only some files have.
"""

import json
import os
import struct
import sys

PAGE = 4096
CROWD = 0x40000000  # where the one stack of many lies
STACK_LIMIT = 256 << 10  # kStackLimit of tools/inspect/stacks.h
TIDS = (1020, 1021, 1040)  # the carriers' and a thread of the program's own


class SmallTarget:
    def __init__(self, path):
        with open(path, 'rb') as file:
            self.bytes = file.read()
        header = struct.unpack_from('<16sHHIQQQIHHHHHH', self.bytes)
        self.entry, sections, count, names = header[4], header[6], header[12], header[13]
        self.headers = [struct.unpack_from('<IIQQQQQQ', self.bytes, header[5] + i * 56) for i in range(header[10])]
        load = next(h for h in self.headers if h[0] == 1)
        self.base, self.memory = load[3], self.bytes[:load[5]]
        self.eh_frame_hdr = next(h[3] for h in self.headers if h[0] == 0x6474e550)
        table = [struct.unpack_from('<IIQQQQIIQQ', self.bytes, sections + i * 64) for i in range(count)]
        strings = next(s for i, s in enumerate(table) if s[1] == 3 and i != names)
        symbols = next(s for s in table if s[1] == 2)
        self.symbol = {}
        for at in range(symbols[4], symbols[4] + symbols[5], 24):
            name, _, _, _, value, size = struct.unpack_from('<IBBHQQ', self.bytes, at)
            end = self.bytes.index(b'\0', strings[4] + name)
            self.symbol[self.bytes[strings[4] + name:end].decode()] = (value, size)
        note = self.bytes.index(b'\x04\0\0\0\x0a\0\0\0\x03\0\0\0GNU\0')
        self.build_id = self.bytes[note + 16:note + 26].hex()
        # The stacks of the coroutines, all alike.
        (name,) = [n for n in self.symbol if 'stacks' in n]
        self.stacks, size = self.symbol[name]
        self.stack_size = size // 6
        self.end = self.base + (len(self.memory) + PAGE - 1) // PAGE * PAGE

    def registers(self, thread):
        """By DWARF numbers, of a thread on one of the stacks."""
        values = [0x1000 + i for i in range(17)]
        sp = self.stacks + self.stack_size * (4 + thread % 2)
        values[7], values[16] = sp, self.symbol['switched_out'][0]
        if thread == 2:  # in `pointer`, by its frame pointer
            values[6], values[7], values[16] = sp + 96, sp + 88, self.symbol['in_pointer'][0]
        return values

    def of_file(self, address):
        return address - self.base

    def crowd(self):
        """A memory with one coroutine in as many slots as a file that has its stack can have: more together than there is memory."""
        header = self.of_file(self.symbol['descriptor'][0])
        slot_size, fields, table = struct.unpack_from('<IIQ', self.memory, header + 56)
        slots = STACK_LIMIT // slot_size
        memory = bytearray(self.memory) + b'\0' * (self.end - self.base - len(self.memory))
        (first,) = struct.unpack_from('<Q', memory, self.of_file(struct.unpack_from('<Q', memory, header + 32)[0]))
        # The tables lie behind what the target has: of chunks, each of one slot and all the same, and the number of slots.
        memory += struct.pack(f'<{slots}Q', *[first] * slots) + struct.pack('<Q', slots)
        struct.pack_into('<QQII', memory, header + 32, self.end, self.end + 8 * slots, slots, 1)
        for number, _, offset in struct.iter_unpack('<HHI', memory[self.of_file(table):self.of_file(table) + 8 * fields]):
            value = {2: CROWD, 19: CROWD, 20: STACK_LIMIT}.get(number)  # sp, stack_low, stack_size
            if value is not None:
                struct.pack_into('<Q', memory, self.of_file(first) + offset, value)
        return bytes(memory)


def core(target, *, in_file=True, deleted=False, many=False, vdso=False, crowd=False):
    def note(kind, content, name=b'CORE\0'):
        padded = content + b'\0' * (-len(content) % 4)
        return struct.pack('<III', len(name), len(content), kind) + name + b'\0' * (-len(name) % 4) + padded

    notes = note(3, struct.pack('<24xi108x', 1000))
    order = (15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5)  # of user_regs_struct, in DWARF's numbers
    for i, tid in enumerate(TIDS):
        values = target.registers(i)
        words = [values[n] for n in order] + [0, values[16], 0x33, 0x246, values[7], 0x2b] + [0] * 6
        notes += note(1, struct.pack('<32xi76x27Q8x', tid, *words))
    path = b'/small' + (b' (deleted)' if deleted else b'')
    notes += note(6, struct.pack('<6Q', 33, target.base if vdso else 0x7fff0000, 9, target.entry, 0, 0))
    if not vdso:
        notes += note(0x46494c45, struct.pack('<5Q', 1, PAGE, target.base, target.end, 0) + path + b'\0')
    notes += note(2, b'\0' * 16, b'LINUX\0')
    content = target.crowd() if crowd else target.memory if in_file else b''
    headers = [(4, 0, len(notes)), (1, target.base, len(content)), (1, CROWD, STACK_LIMIT) if crowd else (1, 0x7fff0000, 0)]
    offset = 64 + 56 * len(headers) + (64 if many else 0)
    result = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\2\1\1', 4, 62, 1, 0, 64 + (64 if many else 0), 64 if many else 0, 0, 64, 56,
                         0xffff if many else len(headers), 64, 1 if many else 0, 0)
    if many:  # the number of program headers stands in the first section header
        result += struct.pack('<IIQQQQIIQQ', 0, 0, 0, 0, 0, 1, 0, len(headers), 0, 0)
    for kind, address, size in headers:
        memory = 0 if kind == 4 else max(size, target.end - target.base)
        result += struct.pack('<IIQQQQQQ', kind, 5, offset, address, 0, size, memory, 4 if kind == 4 else PAGE)
        offset += size
    return result + notes + content + (b'stack of a crowd' * (STACK_LIMIT // 16) if crowd else b'')


def snapshot(target, minor=0, clock=True):
    description = {
        'name': 'process 1000', 'pid': 1000,
        'modules': [{'path': '/small', 'buildId': target.build_id, 'start': target.base, 'end': target.end, 'bias': 0, 'deleted': False,
                     'error': '', 'ehFrameHdr': target.eh_frame_hdr, 'headers': [h[:4] + h[5:] for h in target.headers]},
                    {'path': '[vdso]', 'buildId': '', 'start': 0x200000, 'end': 0x202000, 'bias': 0x200000, 'deleted': False,
                     'error': '', 'ehFrameHdr': 0, 'headers': []}],
        'threads': [{'tid': tid, 'name': f'thread{tid}', 'state': 'S'} for tid in TIDS],
        'registers': [{'tid': tid, 'known': 0x1ffff if i else 0x10080, 'values': target.registers(i), 'stopped': bool(i)}
                      for i, tid in enumerate(TIDS)],
        'descriptors': [{'fd': 3, 'what': 'socket:[7]', 'kind': 'tcp', 'local': '127.0.0.1:80', 'peer': '127.0.0.1:4000'},
                        {'fd': 4, 'what': 'pipe:[8]', 'kind': 'pipe', 'local': '', 'peer': ''}]}
    if clock:
        description['clock'] = 9_000_000_000
    words = json.dumps(description, separators=(',', ':')).encode()
    half = len(target.memory) // 2
    extents = b''.join(struct.pack('<QQ', address, len(content)) + content
                       for address, content in ((target.base, target.memory[:half]), (target.base + half, target.memory[half:])))
    return struct.pack('<8sHHI', b'weftsnap', 1, minor, len(words)) + words + extents


def image(target, *, path=b'/small'):
    def record(kind, flags, address, content):
        return struct.pack('<BBHII', kind, flags, len(content), address & 0xffffffff, address >> 32) + content

    # All of the file, for those who read the module's: its sections are what libdw looks for.
    result = record(0, 0, target.base, target.bytes)
    result += record(1, 5, target.base, struct.pack('<QQ', target.base + (len(target.bytes) + PAGE - 1) // PAGE * PAGE, 0) + path)
    for i, tid in enumerate(TIDS):
        result += record(2, i & 1, tid, struct.pack('<17Q', *target.registers(i)))
    return result


FILTERS = [b'state=parked\0', b"id>=5 and (since>2.5s or not name~'^a.*b$')\x001ms", b'frame!~(x|yz)+[0-9]{2,3}\0xyz12\nline two',
           b'not not since<=0x10\0300ms', b'name="two words" or name!=x\0two words', b'id<1G and since<1us\x001d']


def main():
    target = SmallTarget(sys.argv[1])
    seeds = {
        'core': [core(target), core(target, in_file=False), core(target, deleted=True), core(target, many=True), core(target, vdso=True),
                 core(target)[:-1000], core(target, crowd=True)],
        'descriptor': [image(target)],
        'unwind': [image(target), image(target, path=b'[vdso]')],
        'snapshot': [snapshot(target), snapshot(target, clock=False)],
        'commands': [snapshot(target, minor) for minor in range(14)],
        'filter': FILTERS,
    }
    for fuzzer, inputs in seeds.items():
        os.makedirs(os.path.join(sys.argv[2], fuzzer), exist_ok=True)
        for number, content in enumerate(inputs):
            with open(os.path.join(sys.argv[2], fuzzer, f'seed_{number}'), 'wb') as file:
                file.write(content)


if __name__ == '__main__':
    main()
