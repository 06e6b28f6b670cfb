# SPDX-License-Identifier: Apache-2.0
"""Coroutines of a process under weft for gdb, live or from a core file.

    info coroutines            all of them: id, state, what each waits for, name, the program's own newest function
    coroutine ID               select it: bt, up, down, frame N and print then are about it
    coroutine ID COMMAND...    the same for one command, as in `coroutine 17 bt`; what was selected before is selected again
    coroutine none             back to the threads

Nothing is written to the target. While a coroutine that is switched out is selected, an unwinder of ours says that the thread's newest
frame was called by the coroutine's, with the registers that its stack holds; bt leaves that newest frame out. So the coroutine's frames
are numbered from 1 or a little higher; the program's newest one is selected. A coroutine that runs, or is in the kernel on a carrier, is
the thread of its carrier.

Layouts come from the descriptor in the process (sched/descriptor.h), so the script serves any library of the same major version.
"""
import collections
import re
import struct

import gdb
import gdb.unwinder

MAJOR = 1
STATES = ("free", "ready", "running", "parked", "blocked", "finished")
WAITS = ("", "read", "write", "poll", "mutex", "condition", "sleep", "join", "futex", "semaphore", "barrier", "once", "region", "signal",
         "file", "rwlock read", "rwlock write", "suspend", "co_mutex", "co_rwlock read", "co_rwlock write", "group", "scope", "channel send",
         "channel receive", "select", "mailbox send", "mailbox receive")
FIELDS = {1: "sequence", 2: "sp", 3: "fs", 4: "id", 6: "state", 7: "wait_kind", 10: "wait_fd", 11: "wait_object", 17: "carrier", 31: "name",
          512: "carrier_tid"}
DWARF_NAMES = {0: "rax", 1: "rdx", 2: "rcx", 3: "rbx", 4: "rsi", 5: "rdi", 6: "rbp", 7: "rsp", 8: "r8", 9: "r9", 10: "r10", 11: "r11",
               12: "r12", 13: "r13", 14: "r14", 15: "r15", 16: "rip"}
NOTE = struct.pack("<III8s", 5, 8, 1, b"WEFT\0\0\0\0")

Coroutine = collections.namedtuple("Coroutine", "sequence sp fs id state wait_kind wait_fd wait_object carrier name")


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def read_word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def read_half(address):
    return struct.unpack("<I", read(address, 4))[0]


def mapped_files():
    """Addresses where the first page of a file is mapped."""
    for line in gdb.execute("info proc mappings", to_string=True).splitlines():
        found = re.match(r"\s*(0x[0-9a-f]+)\s+0x[0-9a-f]+\s+0x[0-9a-f]+\s+0x0\s.*/", line)
        if found:
            yield int(found[1], 16)


def header_by_note():
    """Address of the header, from the note of the module that has one; None. Needs no symbol."""
    for base in mapped_files():
        try:
            elf = read(base, 64)
            if elf[:6] != b"\x7fELF\x02\x01":
                continue
            table, = struct.unpack_from("<Q", elf, 32)
            size, count = struct.unpack_from("<HH", elf, 54)
            headers = read(base + table, size * count)
            for number in range(count):
                kind, _, _, address, _, length = struct.unpack_from("<IIQQQQ", headers, number * size)
                if kind != 4 or length > 4096:
                    continue
                notes = read(base + address, length)
                at = notes.find(NOTE)
                if at >= 0:
                    at += len(NOTE)
                    return base + address + at + struct.unpack_from("<q", notes, at)[0]
        except (gdb.MemoryError, struct.error):
            continue
    return None


def header_address():
    try:
        return int(gdb.parse_and_eval("(unsigned long)&weft_descriptor"))
    except gdb.error:
        pass
    try:
        address = header_by_note()
    except gdb.error:
        address = None
    if address is None:
        raise gdb.GdbError("weft: this process is not running under weft (no WEFT note in its modules).")
    return address


class Descriptor:
    """The header, decoded; see sched/descriptor.h for what it means."""

    def __init__(self):
        address = header_address()
        if read(address, 8) != b"weftinsp":
            raise gdb.GdbError("weft: no descriptor at %#x." % address)
        major, minor, size = struct.unpack("<HHI", read(address + 8, 8))
        if major != MAJOR:
            raise gdb.GdbError("weft: target speaks descriptor %d.%d, this script knows %d.x; use the one shipped with its libweft.so."
                               % (major, minor, MAJOR))
        header = read(address, size)
        (self.chunks, self.slots, _, self.slots_per_chunk, self.slot_size, slot_fields, slot_field, _, _, _, _, _, carrier_fields, _,
         carrier_field, _, _, self.switched_out, _, _, self.frame_size, saved) = struct.unpack_from("<QQIIIIQQQIIQIIQQQQQQII", header, 32)
        self.saved = {}
        for number in range(saved):
            dwarf, offset = struct.unpack_from("<HH", header, 184 + 4 * number)
            self.saved[DWARF_NAMES[dwarf]] = offset
        self.slot = self.fields(slot_field, slot_fields)
        self.carrier = self.fields(carrier_field, carrier_fields)

    @staticmethod
    def fields(address, count):
        table = struct.iter_unpack("<HHI", read(address, 8 * count))
        return {FIELDS[number]: (offset, size) for number, size, offset in table if number in FIELDS}

    def coroutine(self, slot):
        """A slot's bytes as a Coroutine."""
        values = {}
        for name, (offset, size) in self.slot.items():
            data = slot[offset:offset + size]
            if name == "name":
                values[name] = data.split(b"\0")[0].decode("utf-8", "replace")
            else:
                values[name] = int.from_bytes(data, "little", signed=name == "wait_fd")
        return Coroutine(**values)

    def coroutines(self):
        """Those that are not free, in order of their ids."""
        found = []
        left = read_half(self.slots)
        for chunk in range((left + self.slots_per_chunk - 1) // self.slots_per_chunk):
            count = min(left, self.slots_per_chunk)
            left -= count
            data = read(read_word(self.chunks + 8 * chunk), count * self.slot_size)
            for number in range(count):
                one = self.coroutine(data[number * self.slot_size:(number + 1) * self.slot_size])
                if one.state != 0:
                    found.append(one)
        return sorted(found, key=lambda one: one.id)

    def find(self, number):
        for one in self.coroutines():
            if one.id == number:
                return one
        raise gdb.GdbError("weft: there is no coroutine %d." % number)

    def registers(self, one):
        """The registers of the frame that a switched-out coroutine goes on in."""
        frame = read(one.sp, self.frame_size)
        values = {name: struct.unpack_from("<Q", frame, offset)[0] for name, offset in self.saved.items()}
        values["rsp"] = one.sp + self.frame_size
        values["fs_base"] = one.fs
        return values

    def thread(self, one):
        """The thread that runs it."""
        offset, size = self.carrier["carrier_tid"]
        tid = int.from_bytes(read(one.carrier + offset, size), "little") if one.carrier else 0
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == tid:
                return thread
        raise gdb.GdbError("weft: coroutine %d is on kernel thread %d, which gdb does not see." % (one.id, tid))


def on_thread(one):
    return STATES[one.state] in ("running", "blocked") or one.sequence % 2 == 1


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(pc)


class Unwinder(gdb.unwinder.Unwinder):
    """Hangs the selected coroutine's frames behind the newest frame of the thread that it was selected in."""

    def __init__(self):
        super().__init__("weft")
        self.clear()

    def clear(self):
        self.registers = None  # of the coroutine's newest frame, by name; None: nothing is selected
        self.place = None      # rsp and rip of the thread, by which its newest frame is known
        self.id = None

    def select(self, descriptor, one):
        self.clear()
        gdb.invalidate_cached_frames()
        newest = gdb.newest_frame()
        place = (int(newest.read_register("rsp")) % 2**64, int(newest.read_register("rip")) % 2**64)
        # With the thread's own stack pointer in it the frame would seem to lie deeper than its caller, which gdb takes for corruption.
        self.id = FrameId(one.sp, descriptor.switched_out)
        self.registers = descriptor.registers(one)
        self.place = place
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.registers is None:
            return None
        place = (int(pending.read_register("rsp")) % 2**64, int(pending.read_register("rip")) % 2**64)
        if place != self.place:
            return None
        info = pending.create_unwind_info(self.id)
        for name, value in self.registers.items():
            try:
                kind = pending.read_register(name).type
            except ValueError:
                continue  # a core file of an old kernel lacks fs_base
            info.add_saved_register(name, gdb.Value(value.to_bytes(8, "little"), kind.strip_typedefs()))
        return info

    def first_frame(self):
        """The coroutine's newest frame, a moment after it was selected."""
        frame = gdb.newest_frame()
        while frame is not None and int(frame.read_register("rsp")) % 2**64 != self.registers["rsp"]:
            frame = frame.older()
        if frame is None:
            raise gdb.GdbError("weft: its stack cannot be read.")
        return frame


class HideThread:
    """Frame filter: leaves out the frames of the thread that a coroutine is hung behind."""

    name = "weft"
    enabled = True
    priority = 100

    def filter(self, frames):
        if UNWINDER.registers is None:
            return frames
        return self.behind(frames)

    @staticmethod
    def behind(frames):
        level = None
        for decorated in frames:
            frame = decorated.inferior_frame()
            if level is None:
                thread_frame = gdb.newest_frame()
                sp = int(thread_frame.read_register("rsp")) % 2**64
                level = -1 if sp != UNWINDER.place[0] else UNWINDER.first_frame().level()
            if frame.level() >= level:
                yield decorated


def program_frame():
    """The newest frame outside libweft, of the selected coroutine."""
    frame = UNWINDER.first_frame()
    while frame is not None and "libweft.so" in (gdb.solib_name(frame.pc()) or ""):
        frame = frame.older()
    return frame or UNWINDER.first_frame()


def newest_function(descriptor, one):
    """Name of the program's newest function, of a coroutine that is switched out."""
    UNWINDER.select(descriptor, one)
    try:
        frame = program_frame()
        return frame.name() or "%#x" % frame.pc()
    except (gdb.error, gdb.GdbError):
        return "?"


def words_of(one):
    """What it waits for."""
    if STATES[one.state] not in ("parked", "blocked"):
        return ""
    kind = WAITS[one.wait_kind] if one.wait_kind < len(WAITS) else "kind %d" % one.wait_kind
    if kind in ("read", "write", "poll"):
        return "%s fd %d" % (kind, one.wait_fd)
    if kind in ("mutex", "condition", "join", "futex", "semaphore", "barrier", "once", "rwlock read", "rwlock write", "co_mutex",
                "co_rwlock read", "co_rwlock write", "group", "scope", "channel send", "channel receive", "mailbox send", "mailbox receive"):
        return "%s %#x" % (kind, one.wait_object)
    return kind


class Selection:
    """What is selected in gdb, to be put back."""

    def __enter__(self):
        self.thread = gdb.selected_thread()
        if self.thread is None:
            raise gdb.GdbError("weft: there is no process.")
        self.unwinder = (UNWINDER.registers, UNWINDER.place, UNWINDER.id)
        self.level = gdb.selected_frame().level()
        return self

    def __exit__(self, *_):
        UNWINDER.registers, UNWINDER.place, UNWINDER.id = self.unwinder
        gdb.invalidate_cached_frames()
        self.thread.switch()
        gdb.execute("frame %d" % self.level, to_string=True)


class InfoCoroutines(gdb.Command):
    """List the coroutines of a process under weft."""

    def __init__(self):
        super().__init__("info coroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        with Selection():
            descriptor = Descriptor()
            found = descriptor.coroutines()
            print("%8s  %-8s  %-26s  %-15s  %s" % ("Id", "State", "Waits for", "Name", "Function"))
            for one in found:
                where = newest_function(descriptor, one) if not on_thread(one) and STATES[one.state] in ("ready", "parked") else ""
                print(("%8d  %-8s  %-26s  %-15s  %s" % (one.id, STATES[one.state], words_of(one), one.name, where)).rstrip())


class SelectCoroutine(gdb.Command):
    """Select a coroutine of a process under weft, or apply one command to it.
Usage: coroutine ID [COMMAND]
       coroutine none"""

    def __init__(self):
        super().__init__("coroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if words == ["none"]:
            self.none()
        elif not words or not words[0].isdigit():
            raise gdb.GdbError("Usage: coroutine ID [COMMAND], or coroutine none")
        elif len(words) == 1:
            self.select(int(words[0]))
            gdb.execute("frame")
        else:
            with Selection():
                self.select(int(words[0]))
                gdb.execute(words[1], from_tty)

    @staticmethod
    def none():
        UNWINDER.clear()
        gdb.invalidate_cached_frames()
        if gdb.selected_thread() is not None:
            gdb.execute("frame 0")

    @staticmethod
    def select(number):
        if gdb.selected_thread() is None:
            raise gdb.GdbError("weft: there is no process.")
        descriptor = Descriptor()
        one = descriptor.find(number)
        if STATES[one.state] == "finished":
            raise gdb.GdbError("weft: coroutine %d has ended; it waits to be joined." % number)
        if on_thread(one):
            UNWINDER.clear()
            gdb.invalidate_cached_frames()
            descriptor.thread(one).switch()
            gdb.newest_frame().select()
        else:
            UNWINDER.select(descriptor, one)
            program_frame().select()


def forget(_event):
    UNWINDER.clear()


def install():
    """Once a gdb, however many libraries it sees: a second one would be asked for what the first has selected."""
    gdb.unwinder.register_unwinder(None, UNWINDER, True)
    gdb.frame_filters[HideThread.name] = HideThread()
    gdb.events.cont.connect(forget)
    gdb.events.exited.connect(forget)
    InfoCoroutines()
    SelectCoroutine()


if HideThread.name not in gdb.frame_filters:
    UNWINDER = Unwinder()
    install()
