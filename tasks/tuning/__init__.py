"""From a model file to better settings: a search over its network and training, judged by the validation rows."""
