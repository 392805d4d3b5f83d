"""CSV tables as metadata comes: text fields with gaps, numbers that may have turned into floats."""

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from rfe.data.faults import Faults
from rfe.data.known_names import normalize_name
from rfe.suggestions import nearest

_LARGEST = 2**31 - 1
_GAPS = frozenset(("", "nan", "none", "null", "na", "n/a"))
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Row:
    """One clip's line of a metadata file."""

    file: str
    filename: str
    values: dict[str, str]
    """Column -> text as it stands."""

    def __getitem__(self, column: str) -> str:
        """The field's text, "" where the column or the value is missing (also written nan, None, ...)."""
        text = self.values.get(column, "")
        return "" if text.lower() in _GAPS else text

    def number(self, column: str) -> float | None:
        """The field as a finite number; None where it is missing.

        Raises:
            ValueError: with a sentence that begins with the column.
        """
        text = self[column]
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{column}: {text!r} is not a number")
        return number

    def whole_number(self, column: str) -> int:
        """The field as a whole number from 0, also where a table program wrote 3.0 for it.

        Raises:
            ValueError: with a sentence that begins with the column; also where it is missing.
        """
        number = self.number(column)
        if number is None:
            raise ValueError(f"{column} is empty; give a whole number from 0")
        if not number.is_integer() or not 0 <= number <= _LARGEST:
            raise ValueError(f"{column}: {self[column]!r} is not a whole number from 0")
        return int(number)


def read_table(path: Path, required: Mapping[str, str], known: Sequence[str], faults: Faults) -> list[Row]:
    """The rows of a metadata file with a `filename` column; blank lines are passed over, all faults noted.

    Args:
        path: the file.
        required: column that must be there -> what to do where it is not.
        known: all columns that are read.
        faults: told what is wrong.
    """
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if problem := _header_problem(header, required, known):
                faults.problem(f"{path.name} {problem}")
                return []
            require_columns(path.name, header, required, known, faults)
            for cells in reader:
                values = {name: cell.strip() for name, cell in zip_longest(header, cells[: len(header)], fillvalue="")}
                if not any(values.values()):
                    continue
                where = f"{path.name}, line {reader.line_num}"
                if len(cells) != len(header):
                    faults.problem(f"{where}: {_ragged(cells, len(header))}")
                    continue
                if values.get("filename") == "":
                    faults.problem(f"{where}: filename is empty")
                rows.append(Row(path.name, values.get("filename", ""), values))
    except UnicodeDecodeError:
        faults.problem(f"{path.name} is not UTF-8 text; save it as a UTF-8 CSV file")
    except csv.Error as error:
        faults.problem(f"{path.name} cannot be read as CSV ({error}); is it truncated or not a text file?")
    except OSError as error:
        faults.problem(f"{path.name} cannot be opened ({error.strerror}); check its permissions")
    return rows


def require_columns(
    file: str, found: Collection[str], required: Mapping[str, str], known: Sequence[str], faults: Faults
) -> None:
    """Note the columns that a file with the columns `found` lacks, each with what to do; see `read_table`."""
    missing = [column for column in required if column not in found]
    if not missing:
        return
    strange = [name for name in found if name not in known]
    remedies = [
        required[column] if (guess := nearest(column, strange)) is None else f"did you mean {guess}? Rename it"
        for column in missing
    ]
    faults.problem(
        f"{file} has no column {', '.join(missing)}; it has: {', '.join(found)}; {'; '.join(dict.fromkeys(remedies))}"
    )


def _ragged(cells: Sequence[str], n_columns: int) -> str:
    """Why a line has another number of fields than the header, and what to do."""
    if cells[0].startswith("#"):
        return "is a comment, which CSV does not have; remove such lines"
    found = f"{len(cells)} fields where the header has {n_columns}"
    if len(cells) < n_columns:
        return f"{found}; write the missing ones, which may be empty"
    if not any(cells[n_columns:]):
        return f"{found}; remove the comma at its end, or end the header with one too"
    return f"{found}; quote a field that holds a comma"


def _header_problem(header: Sequence[str], required: Collection[str], known: Collection[str]) -> str | None:
    """Why a first line is not the header it was meant to be: none at all, another separator, other names, one twice."""
    if not any(header):
        return f"is empty or begins with an empty line; give it a header with the columns {', '.join(required)}"
    if header[0].lower().startswith("sep="):
        return f"begins with the line {','.join(header)!r}, which table programs read and CSV does not have; remove it"
    if header[0].startswith("#"):
        return f"begins with a comment ({','.join(header)!r}), which CSV does not have; remove such lines"
    for separator, word in _OTHER_SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            return f"separates its columns by {word} ({header[0]!r}); save it as CSV with commas"
    ours = dict.fromkeys((*required, *known))
    alike = {column: [name for name in header if name.lower() == column] for column in ours}
    for column, names in alike.items():
        if len(names) > 1:
            return f"has the column {column} {len(names)} times ({', '.join(names)}); keep one of them"
    capital = [names[0] for column, names in alike.items() if names and names[0] != column]
    if capital:
        return f"has the columns {', '.join(capital)}; write their names in small letters"
    for name in header:
        for column in ours:
            if not alike[column] and column not in required and normalize_name(name) == normalize_name(column):
                return f"has the column {name!r}; did you mean {column}? Rename it"
    return None
