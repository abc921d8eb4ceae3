"""Audio: recordings of sound, decoded to one channel at one sampling rate and one length."""
