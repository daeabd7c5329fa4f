"""What a run makes of a setting beyond the layer in front of the network."""

import numpy as np

from normtest_tf import runs
from normtest_tf.normalization import folding
from normtest_tf.runs import finetuning
from normtest_tf.training import classifier


def test_finetune_folded_starts_from_a_rewritten_first_convolution(tmp_path):
    kernels = {}
    for name in ("pretrain", "finetune", "finetune_folded"):
        asked = runs.RunConfig(
            dataset="digits",
            model="cifar_resnet8",
            normalization=name,
            train_examples=20,
            results_dir=str(tmp_path),
        )
        prepared = finetuning.prepare(asked)
        network = classifier.backbone(prepared.model)
        kernels[name] = np.array(folding.first_convolution(network).kernel)
    np.testing.assert_array_equal(kernels["finetune"], kernels["pretrain"])
    given = prepared.record.resolved.statistics.std
    ratio = np.array(given) / asked.resolved.network.pretraining.statistics.std
    np.testing.assert_allclose(
        kernels["finetune_folded"],
        kernels["pretrain"] * ratio[:, np.newaxis],
        rtol=1e-5,
    )
