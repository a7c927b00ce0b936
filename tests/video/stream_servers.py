"""Servers on loopback for the tests of live sources: MPEG-TS over HTTP, and over RTSP as RTP in its TCP.

Each serves a list of answers, one a connection: bytes to stream, or None to refuse. After the last it
refuses.
"""

from __future__ import annotations

import re
import socketserver
import struct
import threading
from contextlib import contextmanager

TS_PACKET = 188
_PER_RTP = 7 * TS_PACKET
_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"


class Server(socketserver.ThreadingTCPServer):
    """Counts its connections and knows what to answer the next one."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, handler, answers):
        super().__init__(("127.0.0.1", 0), handler)
        self._answers = iter(answers)
        self._lock = threading.Lock()
        self.requests = []

    def answer(self):
        with self._lock:
            return next(self._answers, None)

    def handle_error(self, request, client_address):
        """A client that goes away is no error here."""


class HttpHandler(socketserver.StreamRequestHandler):
    """One GET, answered without a length, as live streams are; the end of the connection ends it."""

    def handle(self):
        head = _request(self.rfile)
        self.server.requests.append(head)
        content = self.server.answer()
        if content is None:
            self.wfile.write(b"HTTP/1.0 503 Service Unavailable\r\n\r\n")
        else:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + content)


class RtspHandler(socketserver.StreamRequestHandler):
    """RFC 2326 as far as a client needs it to play: OPTIONS, DESCRIBE, SETUP, PLAY; RTP interleaved."""

    def handle(self):
        content = self.server.answer()
        while head := _request(self.rfile):
            self.server.requests.append(head)
            method = head.split(" ", 1)[0]
            if content is None:
                self._reply(head, "404 Not Found")
                return
            if method == "DESCRIBE":
                self._reply(head, "200 OK", "Content-Type: application/sdp", body=_SDP)
            elif method == "SETUP":
                self._reply(head, "200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")
            elif method == "PLAY":
                self._reply(head, "200 OK", "Session: 1")
                self._send(content)
                return  # cuts the connection
            else:
                self._reply(head, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    def _reply(self, head, status, *lines, body=""):
        number = re.search(r"CSeq: *(\d+)", head, re.IGNORECASE)[1]
        lines = [f"RTSP/1.0 {status}", f"CSeq: {number}", *lines]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _send(self, content):
        for number, start in enumerate(range(0, len(content), _PER_RTP)):
            packet = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 900, 1)  # RFC 3550 and 2250
            packet += content[start : start + _PER_RTP]
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


def _request(stream):
    lines = []
    while (line := stream.readline().decode("latin-1")) not in ("\r\n", "\n", ""):
        lines.append(line.rstrip("\r\n"))
    return "\n".join(lines)


@contextmanager
def serving(handler, answers):
    """A running ``Server``; its port is ``server.server_address[1]``."""
    with Server(handler, answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
