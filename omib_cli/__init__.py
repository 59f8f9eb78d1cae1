"""omib: optimal multimodal information bottleneck representations, from raw data to report."""

__version__ = "0.1.0"
