"""Models on the Hugging Face Hub, read through `huggingface_hub`."""

import pathlib
import re

from keras_xcons.files import LARGEST
from keras_xcons.offline import is_offline
from keras_xcons.printable import printable
from keras_xcons.zoo.places import Remote, check_file

_ADDRESS = re.compile(r"hf://([\w-][\w.-]*/[\w-][\w.-]*)((?:/[\w-][\w.-]*)*)/?")


class Hub(Remote):
    """`hf://owner/repository[/subfolder]`.

    Files lie in the Hub's own cache, which `HF_HOME` moves. With
    `KERAS_XCONS_OFFLINE=1` nothing but that cache is asked.

    Args:
        address: The address.

    Raises:
        ValueError: The address has another form.
        ImportError: `huggingface_hub` is not installed.
    """

    def __init__(self, address):
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise ValueError(
                "A model on the Hugging Face Hub is named "
                f"hf://owner/repository[/subfolder]. Received: {address!r}"
            )
        super().__init__(address)
        self.repository, subfolder = match.groups()
        self.subfolder = subfolder.lstrip("/") or None
        _library()

    def read(self, file):
        """Returns the bytes of a small file, `None` where there is none."""
        path = self._file(file, LARGEST)
        if path is None:
            return None
        if path.stat().st_size > LARGEST:
            raise _too_large(f"{self}/{file}", LARGEST)
        return path.read_bytes()

    def weights(self, card):
        """Returns the path of the weights file, checked, `None` where there is none."""
        path = self._file(card["weights"], card["bytes"])
        if path is None:
            return None
        try:
            check_file(path, card)
        except ValueError:
            if is_offline():
                raise
            # What lies in the Hub's cache may have been damaged there.
            path = self._file(card["weights"], card["bytes"], force_download=True)
            check_file(path, card)
        return path

    def urls(self, card):
        """Returns `()`: `weights` has downloaded what there is."""
        del card
        return ()

    def _file(self, file, largest, **options):
        """Path of a file in the Hub's cache, downloaded if need be."""
        library = _library()
        offline = is_offline()
        if not offline:
            self._check_size(file, largest)
        try:
            found = library.hf_hub_download(
                self.repository,
                file,
                subfolder=self.subfolder,
                local_files_only=offline,
                **options,
            )
        # A subclass of the next one.
        except library.errors.LocalEntryNotFoundError as error:
            if offline:
                return None
            raise ConnectionError(
                f"Cannot read {self}/{file}: {_why(error)}"
            ) from error
        except library.errors.EntryNotFoundError:
            return None
        except library.errors.RepositoryNotFoundError as error:
            raise FileNotFoundError(
                "There is no such repository on the Hugging Face Hub, or it is private "
                f"and there is no token for it. Received: {self.address!r}"
            ) from error
        except (
            library.errors.HfHubHTTPError,
            library.errors.FileMetadataError,
        ) as error:
            raise ConnectionError(
                f"Cannot read {self}/{file}: {_why(error)}"
            ) from error
        return pathlib.Path(found)

    def _check_size(self, file, largest):
        """Refuses a file that is too large before it is downloaded."""
        library = _library()
        url = library.hf_hub_url(self.repository, file, subfolder=self.subfolder)
        try:
            size = library.get_hf_file_metadata(url).size
        except Exception:
            # Whatever it is, the download meets it too, or answers from the cache.
            return
        if size is not None and size > largest:
            raise _too_large(f"{self}/{file}", largest)


def _too_large(address, largest):
    return ConnectionError(f"{address} is larger than {largest} bytes")


def _library():
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError(
            "hf:// addresses need huggingface_hub: pip install 'keras-xcons[hub]'"
        ) from error
    return huggingface_hub


def _why(error):
    """The innermost reason, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])
