"""Files that appear whole, folders for one process at a time, JSON, CSV and sha256."""

from keras_xcons.files.csv_cells import csv_cell
from keras_xcons.files.json_files import LARGEST, read_json, write_json
from keras_xcons.files.locking import LOCK_FILE, InUseError, locked
from keras_xcons.files.sha256 import sha256_of_file, sha256_of_text
from keras_xcons.files.writing import (
    files_together,
    is_stopped_in_between,
    put_in_place,
    remove_folder,
    remove_leftovers,
    unfinished_folder,
    whole_file,
)

__all__ = [
    "LARGEST",
    "LOCK_FILE",
    "InUseError",
    "csv_cell",
    "files_together",
    "is_stopped_in_between",
    "locked",
    "put_in_place",
    "read_json",
    "remove_folder",
    "remove_leftovers",
    "sha256_of_file",
    "sha256_of_text",
    "unfinished_folder",
    "whole_file",
    "write_json",
]
