"""Pure audio arithmetic. Samples are float32; segments are (channels, samples) as models take
them, streams are (frames, channels) as files hold them."""
