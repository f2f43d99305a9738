"""A task of your own, to start from. Try it:  raynas search mlp --task task.py:Wine --trials 6 --epochs 5

A task says what "good" means: data, loss, metrics. It knows nothing of networks or spaces. For your own images you need
no task: raynas search resnet --data FOLDER (docs/data.md).
"""

import torch
from sklearn.datasets import load_wine

from raynas.objectives import Objective
from raynas.tasks.task import Data, Task


class Wine(Task):
    """Which of three growers made a wine? 178 wines, 13 measurements each (Aeberhard & Forina 1991)."""

    name = "wine"
    input_shape = (13,)  # of one prepared input, without the batch; images: (channels, height, width)
    num_classes = 3
    # It is a classification. For regression, several labels at once, class weights, several inputs: see kinds.md.
    # Trials are compared by this: a metric from metrics() below, with val_ before it, or val_loss ("min").
    objective = Objective("val_accuracy", "max")
    # Whether large or small values of the other metrics are better, for --metric; for val_loss this is known.
    directions = {"val_worst_class": "max"}
    default_epochs = 9  # a trial's full budget
    recipe = {"batch_size": 16}  # how to train on this data, unless a space says otherwise (docs/training.md)

    def load(self) -> Data:
        """Read once per process, and kept. The split must be the same every time: seed it, or use no chance.

        Data larger than memory is streamed from a Dataset or DataLoader instead: see data.md.

        Relative paths ("data/train.npz") are read from the folder where the search began, also on workers.
        """
        data = load_wine()
        inputs, targets = torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target)
        validation = torch.arange(len(targets)) % 5 == 0
        mean, deviation = inputs[~validation].mean(0), inputs[~validation].std(0)
        inputs = (inputs - mean) / deviation
        return Data(inputs[~validation], targets[~validation], inputs[validation], targets[validation])

    def prepare(self, inputs: torch.Tensor) -> torch.Tensor:
        """Turns a batch of what load() returned into what a network takes. The batch may be changed in place.

        The default turns bytes into floats in [-1, 1] and leaves everything else as it is (floats, token numbers), so
        it could be left out here.
        """
        return inputs

    def augment(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A random variation of a training batch; draw from ``generator`` alone, so that a search can be repeated."""
        return inputs + 0.05 * torch.randn(inputs.shape, generator=generator)

    def metrics(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        """Over the whole validation part; each is reported as val_NAME. Each is one number, or a tensor of one."""
        right = outputs.argmax(1) == targets
        worst = min(right[targets == label].float().mean().item() for label in range(self.num_classes))
        return {"accuracy": right.float().mean().item(), "worst_class": worst}

    # You can also define loss(outputs, targets, label_smoothing), by default cross-entropy, and preprocessing(), which
    # describes in JSON what prepare() does to an image, so that an exported model can do it (None: no images).
