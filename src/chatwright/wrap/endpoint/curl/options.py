"""curl's options, by what they are here: https://curl.se/docs/manpage.html, up to 8.12."""

from collections.abc import Mapping

__all__ = ["DATA", "FIELDS", "IGNORED", "KNOWN", "QUIET", "SHORT", "VALUED"]

SHORT: Mapping[str, str] = {
    "-#": "--progress-bar", "-0": "--http1.0", "-1": "--tlsv1", "-4": "--ipv4", "-6": "--ipv6",
    "-:": "--next", "-A": "--user-agent", "-B": "--use-ascii", "-C": "--continue-at",
    "-D": "--dump-header", "-E": "--cert", "-F": "--form", "-G": "--get", "-H": "--header",
    "-I": "--head", "-J": "--remote-header-name", "-K": "--config", "-L": "--location",
    "-N": "--no-buffer", "-O": "--remote-name", "-R": "--remote-time", "-S": "--show-error",
    "-T": "--upload-file", "-U": "--proxy-user", "-X": "--request", "-Y": "--speed-limit",
    "-Z": "--parallel", "-b": "--cookie", "-c": "--cookie-jar", "-d": "--data", "-e": "--referer",
    "-f": "--fail", "-g": "--globoff", "-i": "--include", "-j": "--junk-session-cookies",
    "-k": "--insecure", "-m": "--max-time", "-n": "--netrc", "-o": "--output",
    "-p": "--proxytunnel", "-q": "--disable", "-r": "--range", "-s": "--silent", "-u": "--user",
    "-v": "--verbose", "-w": "--write-out", "-x": "--proxy", "-y": "--speed-time",
    "-z": "--time-cond",
}  # fmt: skip
_SWITCHES = frozenset(
    {
        *("anyauth", "basic", "buffer", "cert-status", "clobber", "compressed", "create-dirs"),
        *("disable", "disallow-username-in-url", "fail", "fail-early", "fail-with-body", "globoff"),
        *("http0.9", "http1.0", "http1.1", "http2", "http2-prior-knowledge", "http3", "http3-only"),
        *("ignore-content-length", "include", "ipv4", "ipv6", "junk-session-cookies", "keepalive"),
        *("location", "location-trusted", "parallel", "parallel-immediate", "path-as-is"),
        *("post301", "post302", "post303", "progress-bar", "progress-meter", "raw", "remote-name"),
        *("remote-header-name", "remote-name-all", "remote-time", "remove-on-error"),
        *("retry-all-errors", "retry-connrefused", "sessionid", "show-error", "show-headers"),
        *("silent", "ssl", "ssl-no-revoke", "ssl-reqd", "ssl-revoke-best-effort", "styled-output"),
        *("suppress-connect-headers", "tcp-fastopen", "tcp-nodelay", "tlsv1", "tlsv1.0", "tlsv1.1"),
        *("tlsv1.2", "tlsv1.3", "tr-encoding", "trace-ids", "trace-time", "use-ascii", "verbose"),
        *("xattr", "alpn", "npn"),
    }
)
QUIET = frozenset(f"--{no}{name}" for name in _SWITCHES for no in ("", "no-"))
"""What changes nothing of what is sent; redirects are never followed here."""
IGNORED = frozenset(
    {
        *("--alt-svc", "--cookie-jar", "--create-file-mode", "--dump-header", "--etag-save"),
        *("--expect100-timeout", "--happy-eyeballs-timeout-ms", "--hsts", "--keepalive-cnt"),
        *("--keepalive-time", "--libcurl", "--limit-rate", "--max-filesize", "--max-redirs"),
        *("--output", "--output-dir", "--parallel-max", "--proto", "--proto-redir", "--rate"),
        *("--retry", "--retry-delay", "--retry-max-time", "--speed-limit", "--speed-time"),
        *("--stderr", "--tls-max", "--trace", "--trace-ascii", "--write-out"),
    }
)
"""What has a value, and says nothing of what is sent."""
DATA = frozenset(
    {
        *("--data", "--data-ascii", "--data-binary", "--data-raw", "--data-urlencode", "--form"),
        *("--form-string", "--json", "--url-query"),
    }
)
"""What is sent."""
FIELDS: Mapping[str, str] = {
    "--cacert": "ca_file",
    "--cert": "client_cert",
    "--connect-timeout": "connect_timeout",
    "--key": "client_key",
    "--max-time": "timeout",
    "--proxy": "proxy",
}
"""Fields of `ChatEndpoint` by the options that say the same."""
_OTHERS = frozenset(
    {
        *("--cookie", "--header", "--noproxy", "--oauth2-bearer", "--proxy-user", "--referer"),
        *("--request", "--url", "--user", "--user-agent"),
    }
)
_REFUSED = frozenset(
    {
        *("--abstract-unix-socket", "--aws-sigv4", "--capath", "--cert-type", "--ciphers"),
        *("--config", "--connect-to", "--continue-at", "--crlfile", "--curves", "--dns-interface"),
        *("--dns-ipv4-addr", "--dns-ipv6-addr", "--dns-servers", "--doh-url", "--engine"),
        *("--etag-compare", "--interface", "--key-type", "--local-port", "--netrc-file", "--pass"),
        *("--pinnedpubkey", "--preproxy", "--proto-default", "--proxy-cacert", "--proxy-cert"),
        *("--proxy-header", "--proxy-key", "--proxy-pass", "--range", "--request-target"),
        *("--resolve", "--socks4", "--socks4a", "--socks5", "--socks5-hostname", "--time-cond"),
        *("--tls13-ciphers", "--unix-socket", "--upload-file", "--variable"),
    }
)
"""What has a value, and can't be said in an endpoint file."""
VALUED = IGNORED | DATA | FIELDS.keys() | _OTHERS | _REFUSED
"""What has a value."""
KNOWN = VALUED | QUIET | {"--get", "--head", "--insecure", "--netrc", "--netrc-optional", "--next"}
"""Every long option that may be cut short, as long as it is the only one that begins so."""
