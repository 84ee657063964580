# SPDX-License-Identifier: MIT
"""The other end of a TLS connection, by Python's ssl: tls_peer.py client|cut|asyncio PORT CA, or
tls_peer.py server|cutting CERTIFICATE (prints its port).

client, asyncio   sends megabytes, reads them back at the same time, and closes in order
cut               sends a line, and closes the connection without close_notify
server            sends back what it gets, until the peer's close_notify
cutting           answers one line, and closes the connection without close_notify
"""
import asyncio
import socket
import ssl
import sys
import threading

SIZE = 4 << 20


def data():
    return b"".join(b"%07d\n" % i for i in range(SIZE // 8))


def connect(port, ca):
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["echo"])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")


def client(port, ca):
    sent = data()
    with connect(port, ca) as s:
        assert s.version() == "TLSv1.3" and s.selected_alpn_protocol() == "echo", s.version()
        writer = threading.Thread(target=s.sendall, args=[sent])
        writer.start()
        got = bytearray()
        while len(got) < SIZE:
            piece = s.recv(65536)
            assert piece, "the end came too early"
            got += piece
        writer.join()
        assert got == sent, "other bytes came back"
        s.unwrap().close()  # waits for close_notify
    print("good")


def cut(port, ca):
    s = connect(port, ca)
    s.sendall(b"hello\n")
    assert s.recv(6) == b"hello\n"
    socket.socket(fileno=s.detach()).close()
    print("good")


async def run_asyncio(port, ca):
    context = ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    sent = data()

    async def write():
        for at in range(0, SIZE, 50000):
            writer.write(sent[at:at + 50000])
            await writer.drain()

    _, got = await asyncio.gather(write(), reader.readexactly(SIZE))
    assert got == sent, "other bytes came back"
    writer.close()
    await writer.wait_closed()
    print("good")


def listen(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["echo"])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    return context.wrap_socket(listener.accept()[0], server_side=True)


def server(certificate):
    s = listen(certificate)
    while piece := s.recv(65536):
        s.sendall(piece)
    s.unwrap().close()
    print("good", flush=True)


def cutting(certificate):
    s = listen(certificate)
    s.sendall(s.recv(100))
    socket.socket(fileno=s.detach()).close()
    print("good", flush=True)


def main():
    what = sys.argv[1]
    if what in ("server", "cutting"):
        {"server": server, "cutting": cutting}[what](sys.argv[2])
    elif what == "asyncio":
        asyncio.run(run_asyncio(int(sys.argv[2]), sys.argv[3]))
    else:
        {"client": client, "cut": cut}[what](int(sys.argv[2]), sys.argv[3])


main()
