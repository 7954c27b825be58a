"""A server on loopback that answers as the Hugging Face hub does."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = '0123456789abcdef0123456789abcdef01234567'


class Handler(BaseHTTPRequestHandler):
    """Resolves `main` to COMMIT; redirects to the store of large files."""

    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.respond(with_body=False)

    def do_GET(self):
        self.respond(with_body=True)

    def respond(self, with_body):
        server = self.server
        server.seen.append((self.command, self.path))
        repo, _, name = self.path.lstrip('/').partition('/resolve/')
        revision, _, name = name.partition('/')
        if self.path == '/store/blob':
            self.send_response(200)
            self.send_header('Content-Length', str(len(server.stored)))
            self.end_headers()
            if with_body:
                self.wfile.write(server.stored)
        elif (repo, name) in server.files and revision in ('main', COMMIT):
            content = server.files[repo, name]
            digest = hashlib.sha256(content).hexdigest()
            self.send_response(302)
            # Another host, as the store of the true hub is.
            place = f'http://localhost:{server.server_port}/store/blob'
            self.send_header('Location', place)
            self.send_header('X-Repo-Commit', COMMIT)
            self.send_header('X-Linked-Size', str(len(content)))
            self.send_header('X-Linked-ETag', f'"{server.etag or digest}"')
            self.send_header('Content-Length', '0')
            self.end_headers()
        else:
            self.send_response(404)
            self.send_header('X-Error-Code', 'EntryNotFound')
            self.send_header('X-Repo-Commit', COMMIT)
            self.send_header('Content-Length', '0')
            self.end_headers()


@contextmanager
def hub(repo, content, name='model.safetensors'):
    """A hub with one file.

    `stored` is what its store sends, `etag` what the hub says of the file.
    """
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.files = {(repo, name): content}
    server.stored, server.etag, server.seen = content, '', []
    server.url = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(
        target=server.serve_forever, args=(0.01,), daemon=True
    ).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
