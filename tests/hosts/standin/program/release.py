"""Which release the stand-in says it is; the build replaces this file."""

VERSION = "v1.30.14+k3s1"
