//go:build !unix

package manifest

// nonblock is nothing where files can't be FIFOs.
const nonblock = 0
