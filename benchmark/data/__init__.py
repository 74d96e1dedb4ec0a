"""From a data set's files to images, labels and the parts of a protocol."""
