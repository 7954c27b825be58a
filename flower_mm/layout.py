"""The names of files in a prepared dataset and in the work folder of a run.

Code takes them from here; only messages and documentation spell them out.
"""


class DatasetDir:
    """What prepare writes, and training reads and adds to."""

    CLASSES = 'classes.txt'  # a class a line; its number is the label
    RECORD = 'dataset.json'
    SUMMARY = 'report.txt'
    SPLITS = ('train', 'val', 'test')  # each a folder of class folders
    CORRECTIONS = 'corrections.csv'  # by review
    DECODED = 'decoded'  # folder of the photos that training keeps decoded
    SHARDS = 'shards'  # folder of tars with the photos, by prepare --shards
    INDEX = 'shards/index.sqlite'  # where each photo is in them
    # The size and the sha256 of the other files; --data URL begins with it.
    MANIFEST = 'shards/manifest.json'

    @staticmethod
    def list_of(split: str) -> str:
        """The file with a photo and its label a line."""
        return f'{split}.txt'


class RunDir:
    """What a training and its report write."""

    BEST = 'best.pth'
    BEST_SAFETENSORS = 'best.safetensors'  # by export
    LAST_CHECKPOINT = 'last_checkpoint'  # holds the path of one
    RECORD = 'run.json'
    SCALARS = 'scalars.json'
    CURVES = 'curves.png'
    TENSORBOARD = 'tensorboard'
    REPORT = 'report.html'
    REPORT_DATA = 'report.json'
    PREDICTIONS = 'predictions.csv'
    HELD_OUT = 'held_out.csv'  # predictions of the photos outside a fold
    TRAIN_BATCH = 'train_batch.jpg'
    FOLDS = 'folds.json'

    @staticmethod
    def tracking(tracker: str) -> str:
        """The file with what a tracker such as mlflow has received."""
        return f'tracking_{tracker}.json'
