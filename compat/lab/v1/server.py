"""The lab's web application: serves the files beside it on port 80."""
import functools
import http.server
import os

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=os.path.dirname(os.path.abspath(__file__)))
http.server.ThreadingHTTPServer(("", 80), handler).serve_forever()
