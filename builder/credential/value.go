package credential

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxValue is the most bytes that a credential's value may have.
const MaxValue = 64 << 10

var errTooLong = fmt.Errorf("the value is longer than %d KiB", MaxValue>>10)

// ReadValue reads a value as people hand it over: on standard input or in a
// file. Line breaks at the end, which editors and echo leave there, are no
// part of it. An empty value, and one of more than MaxValue bytes, is refused.
func ReadValue(r io.Reader) (string, error) {
	// Two bytes more than allowed make room for one line break.
	data, err := io.ReadAll(io.LimitReader(r, MaxValue+3))
	if err != nil {
		return "", fmt.Errorf("read the value: %w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	switch {
	case len(data) > MaxValue+2 || len(value) > MaxValue:
		return "", errTooLong
	case value == "":
		return "", errors.New("the value is empty")
	}
	return value, nil
}
