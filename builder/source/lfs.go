package source

import (
	"bytes"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// What Git LFS commits in the place of a large file: a few lines of text, of
// which this is how the first begins.
// https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
const pointerPrefix = "version https://git-lfs.github.com/spec/"

// pointerSized reports whether a file could be a pointer, so that only few
// files are looked into. One with a size of 20 digits has 147 bytes.
func pointerSized(size int64) bool {
	return size > int64(len(pointerPrefix)) && size < 200
}

func isPointer(data []byte) bool {
	return pointerSized(int64(len(data))) && bytes.HasPrefix(data, []byte(pointerPrefix))
}

// pointerFailure refuses files whose content is elsewhere; a build would
// take the pointers for it.
func pointerFailure(names ...string) *builder.Failure {
	const most = 3
	shown := []string{}
	for _, n := range names[:min(len(names), most)] {
		shown = append(shown, display(n))
	}
	list := strings.Join(shown, ", ")
	if more := len(names) - len(shown); more > 0 {
		f := failure("%s and %d more are Git LFS pointers, and LFS is not fetched yet: commit the files themselves, or name them in .dockerignore if the build does not need them", list, more)
		f.File = names[0]
		return f
	}
	is := "is a Git LFS pointer"
	if len(names) > 1 {
		is = "are Git LFS pointers"
	}
	f := failure("%s %s, and LFS is not fetched yet: commit the content itself, or name it in .dockerignore if the build does not need it", list, is)
	f.File = names[0]
	return f
}
