"""Images whose layers are made in whichever way proves them, or in none that does."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from thinmeta.errors import InputError
from thinmeta.images.chosen_image import ChosenImage, ImageLayer
from thinmeta.images.saved_images import SavedImage
from thinmeta.images.saved_layers import (
    OpenLayer,
    SavedLayer,
    SplitLayer,
    UnprovenLayerError,
    digest_of,
    layer_name,
    proven,
)
from thinmeta.images.tree_layers import LayerTrees, LostFile, TreeLayer

_SHA256 = "sha256:"


class Proof(NamedTuple):
    """What is asked of layers.

    Attributes:
        is_needed: a layer that is not what its hash says is refused; else it is given as another.
        search_seconds: how long to look for what makes a layer of its files what it was.
    """

    is_needed: bool = True
    search_seconds: float = 10


class ImageMaker:
    """Makes images that can be saved of those that were chosen; a layer of several once."""

    def __init__(  # noqa: PLR0913, PLR0917  # a hook for each
        self,
        open_layer: OpenLayer,
        inspect: Callable[[ImageLayer], None],
        proof: Proof,
        warn: Callable[[str], None],
        lose: Callable[[str], None],
        lose_file: Callable[[str, LostFile], None],
    ) -> None:
        """Begin with no layers.

        Args:
            open_layer: opens a layer's volume.
            inspect: refuses a layer whose device may be another one by now, before it is taken
                for what it is without proof.
            proof: what is asked of layers.
            warn: is told how a layer was made, if not as Docker kept it.
            lose: is told which layer is not what it was.
            lose_file: is told of a layer's name, and of a file that is not in it.
        """
        self._open_layer = open_layer
        self._inspect = inspect
        self._proof = proof
        self._warn = warn
        self._lose = lose
        self._lose_file = lose_file
        self._made: dict[str, SavedLayer] = {}

    def image(self, image: ChosenImage) -> SavedImage:
        """Return an image: the very one, or one with other hashes where its layers are others.

        Raises:
            UnprovenLayerError: a layer cannot be made as it was, and proof is needed.
            InputError: a layer cannot be read at all.
        """
        layers = tuple(self._layer(image, place) for place in range(len(image.layers)))
        new = {
            old.diff_id: made.diff_id
            for old, made in zip(image.layers, layers, strict=True)
            if old.diff_id != made.diff_id
        }
        if not new:
            return SavedImage(image.config, image.tags, layers)
        saved = SavedImage(_with_layers(image, new), image.tags, layers)
        name = next(iter(image.tags), image.image_id[:12])
        self._warn(f"{name}: is written as image {saved.image_id}, no longer {image.image_id}")
        return saved

    def _layer(self, image: ChosenImage, place: int) -> SavedLayer:
        diff_id = image.layers[place].diff_id
        if diff_id not in self._made:
            self._made[diff_id] = self._make(image, place)
        return self._made[diff_id]

    def _make(self, image: ChosenImage, place: int) -> SavedLayer:
        layer = image.layers[place]
        name = layer_name(image, layer)
        if not layer.is_hashed:
            why = f"{name}: no hash of it was kept, as none was before Docker 1.10"
            if self._proof.is_needed:
                raise UnprovenLayerError(why)
            return self._unproven(image, place, why, is_wrong=False)
        is_wrong = False
        try:
            split = SplitLayer(image, layer, self._open_layer)
            if not self._proof.is_needed:
                digest_of(proven(split))
        except UnprovenLayerError as error:
            is_wrong, why = True, str(error)
        except InputError as error:
            why = f"{name}: {error}"
        else:
            return split
        trees = LayerTrees(image, place, self._open_layer)
        found = trees.search(self._proof.search_seconds)
        if found is not None:
            self._warn(f"{why}; made of its files alone it is what its hash says")
            return TreeLayer(name, trees, *found)
        if self._proof.is_needed:
            raise UnprovenLayerError(f"{why}; {_hope(image, place, trees)}")
        return self._unproven(image, place, why, is_wrong=is_wrong)

    def _unproven(self, image: ChosenImage, place: int, why: str, *, is_wrong: bool) -> SavedLayer:
        """Return a layer made of its files, which nothing proves."""
        name = layer_name(image, image.layers[place])
        for each in image.layers[: place + 1][-2:]:
            self._inspect(each)
        trees = LayerTrees(image, place, self._open_layer, by_ctime=True)
        made = TreeLayer.unproven(image, place, trees)
        for lost in trees.lost:
            self._lose_file(name, lost)
        tell = self._lose if is_wrong else self._warn
        tell(f"{why}; it is written as layer {made.diff_id}, which nothing proves")
        return made


def _hope(image: ChosenImage, place: int, trees: LayerTrees) -> str:
    """Return why a layer cannot be made of its files alone, and whether there is hope."""
    what = "made of its files alone it is not what its hash says"
    if trees.lost:
        return f"{what}: {trees.lost[0]}"
    if place == 0 or image.layers[place].is_from_elsewhere:
        return f"{what}, for which there is no hope if another host made it, as if it was pulled"
    if trees.removed:
        return f"{what}, for when it was made was not found: --search-seconds N looks longer"
    return what


def _with_layers(image: ChosenImage, new: dict[str, str]) -> bytes:
    """Return an image's configuration with other hashes of layers, and a word on that.

    Raises:
        InputError: it is out of shape.
    """
    try:
        config: Any = json.loads(image.config)
        rootfs = config["rootfs"]
        kept = [each.removeprefix(_SHA256) for each in rootfs["diff_ids"]]
        rootfs["diff_ids"] = [_SHA256 + new.get(each, each) for each in kept]
        changed = ", ".join(f"{old} is now {made}" for old, made in new.items())
        word = {
            "created_by": "thinmeta save --unproven",
            "comment": f"not proven, of image {image.image_id}: layer {changed}",
            "empty_layer": True,
        }
        if isinstance(config.get("created"), str):
            word = {"created": config["created"], **word}
        config["history"] = [*(config.get("history") or []), word]
        return json.dumps(config, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"image {image.image_id[:12]}: its configuration cannot be believed"
        raise InputError(what) from error
