"""Statistics of a posted CSV with a header row: of numbers their spread, of texts how often each occurs.

    curl --data-binary @examples/tour/data/cities.csv -H 'content-type: text/csv' http://tour.localhost:8080/stats
    virga invoke stats --data @data/cities.csv

Called directly it takes {"csv": "…"} or the text itself, and raises what it answers with a status over HTTP.
"""

import base64
import collections
import csv
import io
import re
import statistics

CHARACTERS_MAX = 4_000_000
COLUMNS_MAX = 1_000
MOST_COMMON = 3

# Decimal numbers of a sane length: no nan, no 1_000, nothing that overflows a sum.
NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?")


class Problem(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def handler(event, context):
    over_http = isinstance(event, dict) and "requestContext" in event
    try:
        text = posted_text(event) if over_http else given_text(event)
        answer = statistics_of(text)
    except Problem as problem:
        if not over_http:
            raise
        return {"statusCode": problem.status, "body": {"error": str(problem)}}
    print(f"{answer['rows']} rows, {len(answer['columns'])} columns")
    return answer


def posted_text(event):
    media, *options = event["headers"].get("content-type", "").lower().split(";")
    if media.strip() != "text/csv":
        raise Problem(415, f"the content type is '{media.strip()}'; send text/csv")
    body = event.get("body", "")
    if not event["isBase64Encoded"]:
        return body
    # Not UTF-8, then: the content type may say what it is.
    charset = next((option.split("=", 1)[1].strip(' "') for option in options if option.strip().startswith("charset=")), "utf-8")
    try:
        return base64.b64decode(body).decode(charset)
    except LookupError:
        raise Problem(415, f"the charset '{charset}' is not known") from None
    except UnicodeDecodeError as error:
        raise Problem(400, f"byte {error.start} is not {charset}; name the charset, as in 'text/csv; charset=latin-1'") from None


def given_text(payload):
    text = payload.get("csv") if isinstance(payload, dict) else payload
    if not isinstance(text, str):
        raise Problem(400, 'give {"csv": "…"}, or the text of a CSV')
    return text


def statistics_of(text):
    names, columns = read(text)
    return {"rows": len(columns[0]), "columns": {name: describe(cells) for name, cells in zip(names, columns)}}


def read(text):
    """The names of the columns, and the cells of each."""
    if len(text) > CHARACTERS_MAX:
        raise Problem(413, f"the CSV has {len(text)} characters; at most {CHARACTERS_MAX} are taken")
    text = text.lstrip("\ufeff")
    first_line = text.lstrip().partition("\n")[0]
    if not first_line:
        raise Problem(400, "the CSV is empty; it needs a header row, and rows below it")
    delimiter = max(",;\t", key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names, columns = None, []
    line = 1
    try:
        for row in reader:
            if not row:
                pass  # a blank line
            elif names is None:
                names = checked_header(row, line)
                columns = [[] for _ in names]
            elif len(row) != len(names):
                raise Problem(400, f"line {line} has {fields(row)}, but the header has {fields(names)}")
            else:
                for cells, cell in zip(columns, row):
                    cells.append(cell.strip())
            # A quoted cell may hold line breaks: a row begins where the one before has ended.
            line = reader.line_num + 1
    except csv.Error as error:
        raise Problem(400, f"the row that begins in line {line} is not valid CSV: {error}") from None
    if names is None or not columns[0]:
        raise Problem(400, "the CSV has a header row, but no rows below it")
    return names, columns


def checked_header(row, line):
    names = [name.strip() for name in row]
    if len(names) > COLUMNS_MAX:
        raise Problem(400, f"the header has {fields(names)}; at most {COLUMNS_MAX} are taken")
    for at, name in enumerate(names, 1):
        if not name:
            raise Problem(400, f"column {at} has no name in the header (line {line})")
    for name, count in collections.Counter(names).items():
        if count > 1:
            raise Problem(400, f"the header (line {line}) names '{name}' {count} times")
    return names


def describe(cells):
    present = [cell for cell in cells if cell]
    counts = {"count": len(present), "missing": len(cells) - len(present)}
    if present and all(NUMBER.fullmatch(cell) for cell in present):
        return {"type": "number", **counts, **spread([number(cell) for cell in present])}
    common = collections.Counter(present)
    most = [{"value": value[:200], "count": count} for value, count in common.most_common(MOST_COMMON)]
    return {"type": "text", **counts, "distinct": len(common), "mostCommon": most}


def spread(numbers):
    return {
        "min": min(numbers),
        "max": max(numbers),
        "mean": statistics.fmean(numbers),
        "median": statistics.median(numbers),
        # Of a sample; one number has none.
        "stdev": statistics.stdev(numbers) if len(numbers) > 1 else None,
    }


def number(cell):
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def fields(row):
    return f"{len(row)} field{'' if len(row) == 1 else 's'}"
