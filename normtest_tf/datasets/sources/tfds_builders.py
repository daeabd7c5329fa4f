"""Finding and preparing data sets of TensorFlow Datasets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib import parse

from normtest_tf import errors
from normtest_tf.system import files

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def default_data_dir() -> str:
    """Returns the directory that TFDS uses by default."""
    return os.path.expanduser(
        os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    )


def prepared(
    name: str,
    data_dir: str | None,
    url: str | None = None,
    check: Callable[[tfds.core.DatasetBuilder], object] = id,
) -> tfds.core.DatasetBuilder:
    """Returns the builder of a data set, which is downloaded if necessary.

    Args:
        name: In TFDS, perhaps with a configuration and a version.
        data_dir: TFDS's data directory, which must exist; None for TFDS's default.
        url: The first file of its download; None to ask TFDS.
        check: Called with the builder before anything is downloaded.

    Returns:
        A builder whose data are prepared.

    Raises:
        UsageError: If there is no such data set, or it is corrupt, or missing and
            can't be downloaded.
    """
    import tensorflow_datasets as tfds

    _check_data_dir(data_dir)
    root = default_data_dir() if data_dir is None else os.path.expanduser(data_dir)
    _check_variant(name)
    try:
        builder = tfds.builder(name, data_dir=root, try_gcs=False)
        is_prepared = (builder.data_path / "dataset_info.json").exists()
    except tfds.core.DatasetNotFoundError as error:
        raise _unknown(name, root) from error
    except Exception as error:  # TFDS, protobuf and JSON each raise their own types.
        raise corrupt(name, root, error) from error
    if not is_prepared:
        if builder.info.features is not None:
            check(builder)
        _prepare(builder, name, root, url or _first_url(builder))
    return builder


def corrupt(name: str, path: str, error: Exception) -> errors.UsageError:
    """Returns the error for prepared data that can't be read.

    Args:
        name: The data set's name.
        path: Where they are.
        error: What went wrong.
    """
    return errors.UsageError(
        f"the prepared data of {name} in {path} can't be read "
        f"({errors.one_line(error)[:300]}). Delete them to download and prepare them "
        "again, or pass another --data_dir"
    )


def _check_data_dir(data_dir: str | None) -> None:
    if data_dir is None:
        return
    path = files.expand(data_dir)
    if not os.path.isdir(path):  # `Path.is_dir` would raise.
        what = "is not a folder" if os.path.exists(path) else "does not exist"
        raise errors.UsageError(
            f"--data_dir {data_dir!r} {what}. Pass the folder that contains prepared "
            "TFDS data, or create an empty folder to download them into"
        )


def _first_url(builder: tfds.core.DatasetBuilder) -> str | None:
    """Returns a file of a data set's download; None if TFDS lists none."""
    return next(iter(builder.url_infos or {}), None)


def _prepare(
    builder: tfds.core.DatasetBuilder, name: str, root: str, url: str | None
) -> None:
    """Downloads and prepares a data set; fails within seconds when offline."""
    import tensorflow_datasets as tfds

    # Offline, TFDS would retry for minutes.
    if url and (problem := files.host_problem(url)):
        host = parse.urlsplit(url).hostname
        raise _unavailable(builder, name, root, f"{host} can't be reached ({problem})")
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    except Exception as error:  # Network, disk and checksums raise their own types.
        reason = f"its download failed ({errors.first_cause(error)})"
        raise _unavailable(builder, name, root, reason) from error


def _parts(name: str) -> tuple[str, str, str]:
    """Returns a data set's name, its configuration and version, "" if not given."""
    rest, _, version = name.partition(":")
    first, _, config = rest.partition("/")
    return first, config, version


def _check_variant(name: str) -> None:
    """Raises `UsageError` if TFDS knows the data set, but not this variant of it."""
    import tensorflow_datasets as tfds

    first, config, version = _parts(name)
    try:
        builder = tfds.builder_cls(first)
    except Exception:  # Perhaps there are prepared data of this name.
        return
    configs = {one.name: one for one in builder.BUILDER_CONFIGS}
    if config and config not in configs:
        raise errors.unknown_name(f"configuration of {first}", config, [*configs])
    one = configs.get(config) or next(iter(configs.values()), None)
    known = [builder.VERSION, *builder.SUPPORTED_VERSIONS]
    if one is not None:
        known += [one.version, *one.supported_versions]
    versions = sorted({str(entry) for entry in known if entry is not None})
    if version and version not in versions:
        raise errors.unknown_name(f"version of {first}", version, versions)


def _unknown(name: str, root: str) -> errors.UsageError:
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    first, _, _ = _parts(name)
    there = os.path.join(root, first)
    if os.path.isdir(there):
        found = ", ".join(sorted(os.listdir(there)))
        return errors.UsageError(
            f"{name} is not prepared in --data_dir {root}, where {first} has only "
            f"{found[:200]}. Pass tfds:{first} or one of them"
        )
    hint = (
        f"TensorFlow Datasets {tfds.__version__} has no such data set, and there is "
        f"none in --data_dir {root}"
    )
    return errors.unknown_name("data set", first, known, hint)


def _unavailable(
    builder: tfds.core.DatasetBuilder, name: str, root: str, reason: str
) -> errors.UsageError:
    command = (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', data_dir='DIR').download_and_prepare()\""
    )
    return errors.UsageError(
        f"{name} is not prepared in --data_dir {root} (looked for "
        f"{builder.data_path}), and {reason}. Pass a --data_dir where it is prepared, "
        f"prepare it on a machine with network access ({command}), or use "
        "--dataset=digits, which needs no download"
    )
