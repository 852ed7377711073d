"""Text that names rasters: lists and JSON, whatever is in them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from .errors import SceneError, check_plain, unreadable

#: Seconds that a server may take to say something.
TIMEOUT_S = 30


def read_text(path: str | Path) -> str:
    """Read a text file.

    Args:
        path: the file, or its address (http, https).

    Returns:
        the text, without the mark that spreadsheets put before the first character.

    Raises:
        SceneError: if it is missing, no file, unreadable or no text.
    """
    try:
        return _read_bytes(str(path)).decode('utf-8-sig')
    except OSError as error:
        raise unreadable(str(path), error) from error
    except UnicodeDecodeError as error:
        raise SceneError(path, f'bytes that are no text ({error.reason})', 'UTF-8') from error


def _read_bytes(path: str) -> bytes:
    if not path.startswith(('http://', 'https://')):
        check_plain(path)
        return Path(path).read_bytes()
    # half a second, which only addresses are worth
    import requests

    try:
        answer = requests.get(path, timeout=TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        # the text of the error has the whole address, with its signature
        status = getattr(error.response, 'status_code', '') or type(error).__name__
        remedy = 'Check the address, its signature and the connection; or save the file first.'
        raise SceneError(path, f'no answer that can be used ({status})', 'JSON', remedy) from None
    return answer.content


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Args:
        path: the file.

    Returns:
        what it holds, of any type.

    Raises:
        SceneError: if it cannot be read, or is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise SceneError(path, 'JSON nested too deeply', 'a flat tree') from error
    except ValueError as error:
        raise SceneError(path, f'no JSON ({error})', 'JSON') from error


def read_rows(path: str | Path) -> list[list[str]]:
    """Read the rows of a table of comma-separated values.

    Args:
        path: the file.

    Returns:
        the cells of each row.

    Raises:
        SceneError: if it cannot be read, or is no table.
    """
    text = read_text(path)
    try:
        return list(csv.reader(io.StringIO(text, newline='')))
    except csv.Error as error:
        raise SceneError(path, f'no table ({error})', 'comma-separated values') from error
