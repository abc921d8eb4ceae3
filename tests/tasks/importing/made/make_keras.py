"""Makes keras_wine.onnx and keras_wine.csv, with a TensorFlow that no lock file holds since it is large.

python3.11 -m venv made && made/bin/pip install tensorflow==2.21.0 tf2onnx==1.17.0 scikit-learn==1.9.1 pandas==3.1.1
made/bin/python tests/tasks/importing/made/make_keras.py
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from sklearn.datasets import load_wine

HERE = Path(__file__).parent


def main() -> None:
    """Trains on rows of even number, which are scaled outside of the network, as in Keras's own examples of tables."""
    keras.utils.set_random_seed(0)
    data = load_wine(as_frame=True)
    features = data.data.to_numpy(np.float32)
    scaled = ((features - features[::2].mean(0)) / features[::2].std(0)).astype(np.float32)
    network = keras.Sequential(
        [
            keras.Input((features.shape[1],), name="measures"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(scaled[::2], data.target[::2], epochs=60, verbose=0)
    call = tf.function(lambda x: network(x, training=False))
    signature = [tf.TensorSpec((None, features.shape[1]), tf.float32, name="measures")]
    tf2onnx.convert.from_function(call, signature, opset=15, output_path=str(HERE / "keras_wine.onnx"))
    answers = network.predict(scaled, verbose=0)
    recorded = data.data.assign(**{f"probability_class_{i}": answers[:, i] for i in range(3)})
    recorded.to_csv(HERE / "keras_wine.csv", index=False)


if __name__ == "__main__":
    main()
