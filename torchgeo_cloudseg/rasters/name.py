"""What a raster is called, and which files it is made of."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import PurePath
from urllib.parse import unquote
from xml.etree import ElementTree

#: How GDAL reads what an address of a scheme stands for; an archive's member follows a ``!``.
SCHEMES = {
    'http': '/vsicurl/http://',
    'https': '/vsicurl/https://',
    'ftp': '/vsicurl/ftp://',
    's3': '/vsis3/',
    'gs': '/vsigs/',
    'az': '/vsiaz/',
    'zip': '/vsizip/',
    'tar': '/vsitar/',
    'gzip': '/vsigzip/',
    'file': '',
}

#: What is in an archive on this machine, in the form that allows any name of the archive.
ARCHIVED = re.compile(r'^/vsi(zip|tar)/\{(.*?)\}(?=/|$)')

#: Most characters of a path.
LONGEST = 4096

#: Elements of a VRT that name a file.
SOURCE_TAGS = ('SourceFilename', 'SourceDataset')


def is_vrt(path: str) -> bool:
    """Whether a path is a VRT: a file, or the text of one.

    Args:
        path: anything that GDAL reads.

    Returns:
        True where other files hold the pixels.
    """
    return path.startswith('<') or path.endswith('.vrt')


def name_of(path: str | os.PathLike[str]) -> str:
    """What to call a raster in a message, a log or a manifest.

    Args:
        path: anything that GDAL reads.

    Returns:
        the path; without the query and the password of an address, which may be signed; for the
        text of a VRT, the name of its first file.

    Example:
        >>> name_of('https://user:secret@example.com/p_1.tif?signature=1')
        'https://example.com/p_1.tif'
    """
    text = os.fspath(path)
    if text.startswith('<'):
        return name_of(next(iter(sources_of(text)), 'a VRT without files'))
    if len(text) > LONGEST:
        # no system has such a file
        text = f'{text[:100]}...'
    text = ARCHIVED.sub(r'\2', text)
    if '://' not in text and not text.startswith('/vsi'):
        return text
    return re.sub(r'(://)[^/@]*@', r'\1', text.partition('?')[0])


def is_local(path: str) -> bool:
    """Whether a path should be that of a file on this machine.

    Args:
        path: anything that GDAL reads.

    Returns:
        False for addresses, GDAL's file systems and data set names, and the text of a VRT.

    Example:
        >>> is_local('s2/p_1.tif'), is_local('https://example.com/p_1.tif')
        (True, False)
    """
    return not re.match(r'[A-Za-z][A-Za-z0-9_+.-]+:|/vsi|<', path)


def without_scheme(path: str) -> str:
    """The path of a file on this machine that is given as an address.

    Args:
        path: such as ``file:///data/a%20b.tif``, or anything else.

    Returns:
        the path; anything else as it is.

    Example:
        >>> without_scheme('file:///data/a%20b.tif')
        '/data/a b.tif'
    """
    if not path.startswith('file://'):
        return path
    name = path.removeprefix('file://').removeprefix('localhost')
    # an address has %20 where a file has a space; a file may have %20 itself
    return name if os.path.exists(name) else unquote(name)  # noqa: PTH110 - of any name


def gdal_name(path: str | os.PathLike[str]) -> str:
    """The name by which GDAL finds a raster from anywhere, as in a VRT.

    Args:
        path: a file, an address, or anything else that GDAL reads.

    Returns:
        an absolute path, one of GDAL's file systems, or the name as it is.

    Example:
        >>> gdal_name('https://example.com/p_1.tif')
        '/vsicurl/https://example.com/p_1.tif'
    """
    text = os.fspath(path)
    if is_local(text):
        return os.path.abspath(text)  # noqa: PTH100 - links are kept as they are
    scheme, found, rest = text.partition('://')
    chain = [SCHEMES.get(part) for part in scheme.split('+')]
    if not found or None in chain:
        return text
    # 'zip+https://host/a.zip!b.tif' is '/vsizip/vsicurl/https://host/a.zip/b.tif'
    systems = ''.join(str(part).removesuffix('/') for part in chain[:-1])
    return f'{systems}{chain[-1]}{rest.replace("!", "/")}'


def on_disk(path: str) -> str:
    """The file on this machine that holds a raster.

    Args:
        path: anything that GDAL reads.

    Returns:
        the path, or the file that the raster is in, such as an archive; empty where there is none,
        as of an address.

    Example:
        >>> on_disk('p_1.tif'), on_disk('https://example.com/p_1.tif')
        ('p_1.tif', '')
    """
    if is_local(path):
        return path
    name = ARCHIVED.sub(r'\2', gdal_name(path))
    member = re.sub(r'^(/vsi(zip|tar|gzip|7z|rar)/)+', '', name)
    if path.startswith('<') or member.startswith('/vsi'):
        return ''
    # a name such as 'GTIFF_DIR:1:a.tif' has the file between colons
    places = [member, *map(str, PurePath(member).parents), *re.split('[:"]', member)[1:]]
    return next((place for place in places if os.path.isfile(place)), '')  # noqa: PTH113


def sources_of(path: str) -> tuple[str, ...]:
    """Files that a VRT is made of, those of VRTs within it included.

    Args:
        path: anything that GDAL reads.

    Returns:
        the files, each once; none where the path is no VRT, or cannot be read as one.

    Example:
        >>> sources_of('s2/p_1.tif')
        ()
    """
    found: dict[str, None] = {}
    following = [path]
    while following:
        file = following.pop(0)
        if not is_vrt(file):
            continue
        try:
            changed_ns = os.stat(file).st_mtime_ns if is_local(file) else 0  # noqa: PTH116
        except OSError:
            continue
        # VRTs may name each other
        new = [name for name in _named_in(file, changed_ns) if name not in found]
        found |= dict.fromkeys(new)
        following += new
    # the text of a VRT within another one is no file
    return tuple(name for name in found if not name.startswith('<'))


@lru_cache(maxsize=4096)
def _named_in(path: str, changed_ns: int) -> tuple[str, ...]:  # noqa: ARG001 - keys of the cache
    """Files that a VRT names, as it was then."""
    # a name may be one of GDAL's file systems, which pathlib would not keep as it is
    folder = '' if path.startswith('<') else os.path.dirname(path)  # noqa: PTH120
    try:
        if path.startswith('<'):
            root = ElementTree.fromstring(path)
        else:
            root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, LookupError, ValueError):
        return ()
    named = [element for element in root.iter() if element.tag in SOURCE_TAGS and element.text]
    return tuple(
        os.path.join(folder, str(element.text))  # noqa: PTH118
        if '1' in (element.get('relativeToVRT'), element.get('relativetoVRT'))
        else str(element.text)
        for element in named
    )
