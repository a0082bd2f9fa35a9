//! What a node decides, without input or output: ask, answer, quota, feed, mirror.
