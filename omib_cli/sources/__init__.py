"""Raw data to dataset: one class per source, each a :class:`~omib_cli.artifacts.dataset_writer.Source`."""
