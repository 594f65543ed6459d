"""Share decoders on the Hugging Face hub: decoder directory <-> repository, with a card that says what it is worth."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from necomimi.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from necomimi.decoder import Decoder

__all__ = ["HubMixin", "fetch", "model_card", "push"]

# What a decoder directory consists of; whatever else a repository holds is not fetched.
PATTERNS = ("config.json", "*.safetensors", "gallery/*", "prior/*", "README.md")
REMEDY = 'pip install "necomimi[hub]"'


class HubMixin:
    """What a decoder has of the hub; it brings `load` and `save` itself."""

    if TYPE_CHECKING:

        def save(self, path: Path | str) -> None:
            """Write the directory."""

        @classmethod
        def load(cls, path: Path | str, device: str = "cpu") -> Self:
            """Read the directory."""

    @classmethod
    def from_pretrained(cls, name: Path | str, *, revision: str | None = None, device: str = "cpu") -> Self:
        """Read a decoder directory here, or one of the Hugging Face hub.

        Parameters
        ----------
        name : str
            A directory, or where there is none, a repository as "owner/name".
        revision : str, optional
            Of the repository: branch, tag or commit.
        device : {"auto", "cuda", "mps", "cpu"}

        Raises
        ------
        CheckpointError
            There is neither, or it is foreign or damaged.
        """
        return cls.load(name if Path(name).is_dir() else fetch(str(name), revision), device)

    def save_pretrained(self, path: Path | str) -> None:
        """Write the decoder directory with a model card (README.md) in it."""
        self.save(path)
        (Path(path) / "README.md").write_text(model_card(cast("Decoder", self)), encoding="utf-8")

    def push_to_hub(self, repo_id: str, *, private: bool = True, revision: str | None = None) -> str:
        """Upload the decoder with its model card to the Hugging Face hub; return the address of the commit.

        Parameters
        ----------
        repo_id : str
            "owner/name"; made where it does not exist.
        private : bool
            Of a repository that is made: weights learned from a person's EEG are that person's data.
        revision : str, optional
            Branch.

        Raises
        ------
        ConfigError
            The hub refuses, or huggingface_hub is not installed.
        """
        with tempfile.TemporaryDirectory(prefix="necomimi-") as folder:
            self.save_pretrained(Path(folder) / "decoder")
            return push(Path(folder) / "decoder", repo_id, private=private, revision=revision)


def fetch(repo_id: str, revision: str | None = None) -> Path:
    """Return a decoder directory of the hub, fetched unless it is in the hub's cache.

    Only JSON and safetensors are fetched: nothing in a repository is run.

    Parameters
    ----------
    repo_id : str
        "owner/name".
    revision : str, optional
        Branch, tag or commit; the main branch by default.

    Raises
    ------
    ConfigError
        huggingface_hub is not installed.
    CheckpointError
        There is no such repository or revision, or it cannot be reached.
    """
    hub = _hub()
    try:
        return Path(hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(PATTERNS)))
    except Exception as error:  # its own, those of its HTTP library and of the file system
        detail = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{repo_id!r} is no decoder directory here, and cannot be had from the hub: {detail}",
            "a decoder directory, or a repository of the Hugging Face hub",
            "check the name; a private repository needs: hf auth login",
        ) from error


def push(path: Path, repo_id: str, *, private: bool = True, revision: str | None = None) -> str:
    """Upload a decoder directory to the hub, and return the address of the commit.

    Parameters
    ----------
    path : Path
        The decoder directory, with its card.
    repo_id : str
        "owner/name"; made where it does not exist.
    private : bool
        Of a repository that is made: weights learned from a person's EEG are that person's data.
    revision : str, optional
        Branch; the main branch by default.

    Raises
    ------
    ConfigError
        huggingface_hub is not installed, or the hub refuses.
    """
    hub = _hub()
    try:
        api = hub.HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo_id,
            folder_path=path,
            revision=revision,
            commit_message="Upload a necomimi decoder",
            allow_patterns=list(PATTERNS),
        )
    except Exception as error:  # its own, and those of its HTTP library
        detail = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{path} cannot be uploaded to {repo_id!r}: {detail}", "a repository you may write to", "hf auth login"
        ) from error
    return str(done)


def _hub() -> Any:
    """Return the library of the hub."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(f"the Hugging Face hub needs {error.name}", "huggingface_hub installed", REMEDY) from error
    return huggingface_hub


def model_card(decoder: Decoder) -> str:
    """Return a decoder's model card, Markdown with the hub's header: what it takes, gives, and was found to be worth.

    Names of people are left out: the order of the people is all that decoding needs of them.
    """
    config, preprocessor, facts = decoder.encoder_config, decoder.preprocessor, decoder.training
    header = {
        "library_name": "necomimi",
        "pipeline_tag": "other",
        "tags": ["eeg", "bci", "brain-decoding", str(config["name"])],
    }
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in header.items()), "---", ""]
    people = len(decoder.subjects) or 1
    lines += [
        "# A decoder of what a person is looking at, from EEG",
        "",
        f"Trained with [necomimi](https://pypi.org/project/necomimi/) on epochs of {people} "
        f"{'person' if people == 1 else 'people'}: {facts.get('source') or 'their source is not recorded'}.",
        "",
        "| | |",
        "| --- | --- |",
        f"| encoder | {config['name']}, {sum(p.numel() for p in decoder.encoder.parameters()):,} parameters |",
        f"| takes | {len(preprocessor.ch_names)} channels, {preprocessor.tmin:g} to {preprocessor.tmax:g} s around "
        f"the onset, any rate from {preprocessor.sfreq:g} Hz on, in volts |",
        f"| channels | {', '.join(preprocessor.ch_names)} |",
        f"| gives | {config['n_outputs']}-dimensional embeddings of {decoder.space} |",
        f"| answers | one of {len(decoder.classes)} classes |" if decoder.classes else "| answers | needs a gallery |",
        *_validation_rows(facts),
        "",
        "```python",
        "from necomimi.decoder import Decoder",
        "",
        'decoder = Decoder.from_pretrained("owner/name")  # this repository, or a folder',
        "labels = decoder.predict(epochs)  # epochs of MNE-Python",
        "```",
        "",
        "## Limits",
        "",
        "It does not read minds: it is told when a picture appeared, and ranks the pictures of a gallery. It is for",
        "the person, the cap and the experiment it was trained on; on other people expect far less. Read its answers",
        "beside chance. It is research software, not a medical device. Weights learned from a person's EEG are data",
        "about that person: share them with consent.",
        "",
    ]
    return "\n".join(lines)


def _validation_rows(facts: dict[str, Any]) -> list[str]:
    """Return the rows on what held-out concepts, or trials, said."""
    best, n_ways = facts.get("best"), facts.get("n_ways")
    if not best or not n_ways:
        return ["| validation | not recorded |"]
    held = "held-out training concepts" if facts.get("val_concepts") else "held-out training trials"
    figures = [f"top-1 {best['top1']:.1%} (chance {1 / n_ways:.1%})"] if "top1" in best else []
    if "top5" in best and n_ways > 5:
        figures.append(f"top-5 {best['top5']:.1%} (chance {5 / n_ways:.1%})")
    return [f"| validation | {', '.join(figures)} of {n_ways}, {held}, by which the pass was chosen |"]
