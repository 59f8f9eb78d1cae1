"""Audio and video files to spectrograms and frames."""
