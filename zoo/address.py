"""Shows addresses without the secrets in them."""


def shown(url: str) -> str:
    """An address without user, password and query.

    >>> shown("s3://KEY:SECRET@bucket/zoo?token=1"), shown("/mnt/zoo")
    ('s3://bucket/zoo', '/mnt/zoo')
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
