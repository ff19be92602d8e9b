"""A web server that can be told to misbehave, for tests of HTTP clients. Needs nothing but Python.

Prints {"port": N}; answers {"do": "log"} with the requests so far and {"do": "release"} by letting held responses go
on. Ends at end-of-file.

Paths (N a number of bytes, content the same for the same N):
  /bytes/N       with ETag and ranges         /plain/N       without either
  /cut/N/AT      the first answer breaks off  /cutplain/N/AT the same, without ETag and ranges
  /change/N/AT   breaks off, then another ETag and content
  /short/N       always one byte less than announced
  /held/N/AT     AT bytes, the rest after "release" (with ETag and ranges)
  /dir/NAME      a file of --directory, with ETag and ranges;  /helddir/AT/NAME  held after AT bytes
  /endless       chunks without end           /until-close/N no length, ends with the connection
  /silent        no answer                    /garbage       no HTTP
  /status/CODE   that status                  /flaky/CODE/N  the first answer has that status
  /loop          redirects to itself          /redirect?URL  redirects there
  /echo          the request as JSON          /heads         a head without end
"""

import argparse
import collections
import http.server
import json
import os
import socketserver
import ssl
import sys
import threading
import urllib.parse

log = []
seen = collections.Counter()
released = threading.Event()
guard = threading.Lock()
options = argparse.Namespace()


def content(size, salt=0):
    block = bytes((i * 7 + salt) % 251 for i in range(251))
    return (block * (size // 251 + 1))[:size]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        with guard:
            log.append({"method": self.command, "path": self.path, "headers": dict(self.headers.items())})
            seen[self.path] += 1
            self.times = seen[self.path]
        path, _, query = self.path.partition("?")
        name, *arguments = path.strip("/").split("/")
        getattr(self, "do_" + name.replace("-", "_"), self.missing)(query, *arguments)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = serve

    def missing(self, *_):
        self.answer(404, b"nothing here")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ranged(self, data, tag, cut=None, hold=None):
        start = 0
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range", tag) == tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                return self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.deliver(data[start:], cut, hold)

    def deliver(self, data, cut=None, hold=None):
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut is not None:
            self.wfile.write(data[:cut])
            self.wfile.flush()
            self.close_connection = True
            return
        if hold is not None:
            self.wfile.write(data[:hold])
            self.wfile.flush()
            released.wait()
            data = data[hold:]
        self.wfile.write(data)

    def do_bytes(self, _, size):
        self.ranged(content(int(size)), '"one"')

    def do_plain(self, _, size):
        self.send_response(200)
        self.deliver(content(int(size)))

    def do_cut(self, _, size, at):
        self.ranged(content(int(size)), '"one"', cut=int(at) if self.times == 1 else None)

    def do_cutplain(self, _, size, at):
        self.send_response(200)
        self.deliver(content(int(size)), cut=int(at) if self.times == 1 else None)

    def do_change(self, _, size, at):
        if self.times == 1:
            self.ranged(content(int(size)), '"one"', cut=int(at))
        else:
            self.ranged(content(int(size), salt=1), '"two"')

    def do_short(self, _, size):
        self.ranged(content(int(size)), '"one"', cut=int(size) - 1)

    def do_held(self, _, size, at):
        self.ranged(content(int(size)), '"one"', hold=int(at))

    def file(self, name, hold=None):
        try:
            with open(os.path.join(options.directory, name), "rb") as file:
                data = file.read()
        except OSError:
            return self.missing()
        self.ranged(data, f'"{name}-{len(data)}"', hold=hold)

    def do_dir(self, _, name):
        self.file(name)

    def do_helddir(self, _, at, name):
        self.file(name, hold=int(at))

    def do_endless(self, _):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")

    def do_until_close(self, _, size):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content(int(size)))
        self.close_connection = True

    def do_silent(self, _):
        released.wait()

    def do_garbage(self, _):
        self.wfile.write(b"\x00\x01\x02 nothing of HTTP\r\n\r\n")
        self.close_connection = True

    def do_status(self, _, code):
        self.answer(int(code), b"as asked for")

    def do_flaky(self, _, code, size):
        if self.times == 1:
            return self.answer(int(code), b"not yet")
        self.ranged(content(int(size)), '"one"')

    def do_loop(self, _):
        self.answer(302, b"", Location="/loop")

    def do_redirect(self, query):
        self.answer(302, b"a page that says so", Location=urllib.parse.unquote(query))

    def do_echo(self, query):
        said = {"method": self.command, "query": query, "headers": dict(self.headers.items())}
        said["body"] = self.body.decode()
        said["client"] = self.client_address[1]
        self.answer(200, json.dumps(said).encode(), Content_Type="application/json", X_Twice="a")

    def do_heads(self, _):
        self.send_response(200)
        while True:
            self.wfile.write(b"X-More: " + b"y" * 1000 + b"\r\n")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def emit(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description="a misbehaving web server")
    parser.add_argument("--directory", default=".")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--client-authority", help="ask clients for a certificate of this authority")
    parser.parse_args(namespace=options)
    server = Server(("127.0.0.1", 0), Handler)
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        if options.client_authority:
            context.load_verify_locations(options.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    emit({"port": server.server_address[1]})
    while line := sys.stdin.readline():
        command = json.loads(line)["do"]
        if command == "log":
            with guard:
                emit({"log": log})
        elif command == "release":
            released.set()
            emit({})
        elif command == "hold":
            released.clear()
            emit({})
    os._exit(0)


if __name__ == "__main__":
    main()
