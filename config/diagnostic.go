package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Diagnostic is one problem of a file that a person wrote.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1; 0: the whole file
	Col     int    `json:"col"`  // from 1, in characters
	Message string `json:"message"`
}

func (d Diagnostic) String() string {
	if d.Line == 0 {
		return fmt.Sprintf("%s: %s", d.File, d.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Col, d.Message)
}

// Diagnostics is every problem of a file, in the file's order.
type Diagnostics []Diagnostic

func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// maxDiagnostics is how many problems anybody reads.
const maxDiagnostics = 100

// inOrder sorts by place, keeping the order of finding within one place,
// drops what is said twice and cuts a list that is too long to read.
func (ds Diagnostics) inOrder() Diagnostics {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	ds = slices.Compact(ds)
	if more := len(ds) - maxDiagnostics; more > 0 {
		ds = ds[:maxDiagnostics+1]
		ds[maxDiagnostics].Message = fmt.Sprintf("and %d more problems from here on", more)
	}
	return ds
}
