"""The nginx image: which version a tag is, the files it brings, and the nginx command."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping

from labctl.embedded.cni import PodPort
from labctl.embedded.images.catalogue import Content
from labctl.embedded.images.container import CommandImage, HttpPort, Server
from labctl.embedded.images.filesystem import Executable, File, Link
from labctl.embedded.images.nginx import NginxApp
from labctl.embedded.images.nginxconf import ConfError, load
from labctl.embedded.images.nginxpages import SERVER_ERROR, WELCOME
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.layers import debian_layer

ROOT = "/usr/share/nginx/html"
LATEST = "1.27.5"
RELEASED = 1744804871
"""When nginx 1.27.5 was packed (16 April 2025 12:01:11 UTC), the time of its index.html: ETag 67ff9c07-267."""

LAST_PATCH = {
    "1.18": "1.18.0",
    "1.19": "1.19.10",
    "1.20": "1.20.2",
    "1.21": "1.21.6",
    "1.22": "1.22.1",
    "1.23": "1.23.4",
    "1.24": "1.24.0",
    "1.25": "1.25.5",
    "1.26": "1.26.3",
    "1.27": LATEST,
}
"""What a tag of two numbers last pointed to."""

DEFAULT_CONF = """server {
    listen       80;
    listen  [::]:80;
    server_name  localhost;

    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }

    error_page   500 502 503 504  /50x.html;
    location = /50x.html {
        root   /usr/share/nginx/html;
    }
}
"""

MAIN_CONF = """
user  nginx;
worker_processes  auto;

error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;


events {
    worker_connections  1024;
}


http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;

    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';

    access_log  /var/log/nginx/access.log  main;

    sendfile        on;
    keepalive_timeout  65;

    include /etc/nginx/conf.d/*.conf;
}
"""


def version_of(tag: str) -> str:
    """The nginx version a tag stands for: `1.25.3-alpine` is 1.25.3, `1.25` its last patch, `alpine` the latest."""
    exact = re.match(r"(\d+\.\d+\.\d+)(?:-|$)", tag)
    if exact:
        return exact.group(1)
    minor = re.match(r"(\d+\.\d+)(?:-|$)", tag)
    return LAST_PATCH.get(minor.group(1), minor.group(1) + ".0") if minor else LATEST


def content(tag: str, http_port: HttpPort, port: int = 80) -> Content:
    """What one tag of the image holds."""
    version = version_of(tag)

    def ports(process: Process) -> Mapping[int, PodPort]:
        _check_arguments(process, version)
        return _listening(process, version, http_port)

    ends = ((signal.SIGTERM, 0), (signal.SIGQUIT, 0), (signal.SIGINT, 0))
    default_conf = DEFAULT_CONF.replace("80;", f"{port};")
    rootfs = debian_layer(
        {
            "/usr/sbin/nginx": Executable(Server(ports, ends)),
            f"{ROOT}/index.html": File(WELCOME, mtime=RELEASED),
            f"{ROOT}/50x.html": File(SERVER_ERROR, mtime=RELEASED),
            "/etc/nginx/nginx.conf": File(MAIN_CONF.encode(), mtime=RELEASED),
            "/etc/nginx/conf.d/default.conf": File(default_conf.encode(), mtime=RELEASED),
            "/var/log/nginx/access.log": Link("/dev/stdout"),
            "/var/log/nginx/error.log": Link("/dev/stderr"),
        }
    )
    return Content(CommandImage(cmd=("nginx", "-g", "daemon off;")), rootfs)


def _listening(process: Process, version: str, http_port: HttpPort) -> Mapping[int, PodPort]:
    """What the container's configuration opens.

    Raises:
        Exit: The configuration is wrong, or says something that is not known here.
    """
    files, log = process.system.files, process.system.context.log
    hostname = process.system.context.hostname
    try:
        servers = load(files)
    except ConfError as error:
        raise Exit(1, str(error)) from error
    opened = {}
    for port in sorted({port for server in servers for port in server.ports}):
        here = [server for server in servers if port in server.ports]
        opened[port] = http_port(NginxApp(version, hostname, port, here, files, log))
    return opened


def _check_arguments(process: Process, version: str) -> None:
    """Options that print something instead of serving.

    Raises:
        Exit: There was one.
    """
    options = process.argv[1:]
    if "-v" in options or "-V" in options:
        raise Exit(0, f"nginx version: nginx/{version}\n")
    if "-t" in options:
        try:
            load(process.system.files)
        except ConfError as error:
            raise Exit(1, str(error)) from error
        conf = "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
        raise Exit(0, conf + "nginx: configuration file /etc/nginx/nginx.conf test is successful\n")
