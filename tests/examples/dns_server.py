# SPDX-License-Identifier: Apache-2.0
"""A DNS server for the look-ups: every reply comes after a delay, some do not fit by UDP and are to be asked for again by TCP.

usage: dns_server.py DELAY_MS. Prints "port N"; at SIGTERM "udp N tcp N most N": what it answered, and the most replies it owed at once.
"""
import asyncio
import re
import signal
import socket
import struct
import sys

TRUNCATED_EACH = 50
NAME = re.compile(r'host(\d{4})\.weft\.example')


def truncated(index):
    return index % TRUNCATED_EACH == 7


def address_of(index):
    """None: there is no such name."""
    return None if index % 100 == 99 else f'10.{index % 7}.{index // 256}.{index % 256}'


class Server(asyncio.DatagramProtocol):
    def __init__(self, delay):
        self.delay = delay
        self.udp = self.tcp = self.owed = self.most = 0
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def owe(self):
        self.owed += 1
        self.most = max(self.most, self.owed)

    def reply(self, question, by_udp):
        """The whole reply to a question, as RFC 1035 has it."""
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        asked = question[12:at + 5]
        index = int(NAME.fullmatch('.'.join(labels)).group(1))
        address, flags, answers = address_of(index), 0x8180, b''
        if by_udp and truncated(index):
            flags |= 0x0200
        elif address is None:
            flags |= 3
        else:
            # An alias first, so that a reader has to pass over a record.
            alias = b'\xc0\x0c' + struct.pack('>HHIH', 5, 1, 60, 4) + b'\x01a\xc0\x0c'
            answers = alias + b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton(address)
        return question[:2] + struct.pack('>HHHHH', flags, 1, 2 if answers else 0, 0, 0) + asked + answers

    def datagram_received(self, data, addr):
        self.owe()
        asyncio.get_running_loop().call_later(self.delay, self.answer, data, addr)

    def answer(self, data, addr):
        self.udp += 1
        self.owed -= 1
        # A reply to another question comes first: who takes it for his own is wrong.
        foreign = bytes([data[0] ^ 0x55]) + data[1:]
        self.transport.sendto(self.reply(foreign, True), addr)
        self.transport.sendto(self.reply(data, True), addr)

    async def serve_stream(self, reader, writer):
        size, = struct.unpack('>H', await reader.readexactly(2))
        question = await reader.readexactly(size)
        self.owe()
        await asyncio.sleep(self.delay)
        self.tcp += 1
        self.owed -= 1
        reply = self.reply(question, False)
        # In two pieces, so that a reader has to go on.
        writer.write(struct.pack('>H', len(reply)) + reply[:20])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(reply[20:])
        await writer.drain()
        writer.close()


async def main():
    loop = asyncio.get_running_loop()
    server = Server(int(sys.argv[1]) / 1000)
    streams = await asyncio.start_server(server.serve_stream, '127.0.0.1', 0, backlog=1000)
    port = streams.sockets[0].getsockname()[1]
    await loop.create_datagram_endpoint(lambda: server, ('127.0.0.1', port))
    ended = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, ended.set_result, None)
    print('port', port, flush=True)
    await ended
    print('udp', server.udp, 'tcp', server.tcp, 'most', server.most, flush=True)


if __name__ == '__main__':
    asyncio.run(main())
