package source

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// manyFiles is a repository of 8,000 files of 50 bytes to 24 KiB.
func manyFiles(b *testing.B) *sourcetest.Repo {
	files := sourcetest.Files{".dockerignore": "**/*.md\n!README.md\n.git\n"}
	for i := range 8000 {
		name := fmt.Sprintf("pkg%02d/part%d/file%d.go", i%80, i%7, i)
		files[name] = strings.Repeat(fmt.Sprintf("line %d of the file\n", i), 1+i%1200)
	}
	return sourcetest.New(b, files)
}

// BenchmarkContext is everything from a commit's hash to a context that was
// walked once. "again" is another image of the same commit.
func BenchmarkContext(b *testing.B) {
	r := manyFiles(b)
	for _, fresh := range []bool{true, false} {
		name := "again"
		if fresh {
			name = "first"
		}
		b.Run(name, func(b *testing.B) {
			s := New(Options{Dir: b.TempDir(), Origins: origins{Dir: r.Dir}})
			for b.Loop() {
				if fresh {
					s.indexes.Purge()
				}
				src, err := s.Open(b.Context(), hello, r.Hash("main"))
				if err != nil {
					b.Fatal(err)
				}
				x, err := src.Context(b.Context(), ".", "Dockerfile")
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				err = x.Walk(b.Context(), "/", func(_ string, d fs.DirEntry, err error) error {
					n++
					return err
				})
				if err != nil || n < 8000 {
					b.Fatalf("%d entries, %v", n, err)
				}
				src.Close()
			}
		})
	}
}

// BenchmarkTransfer sends one changed file of 8,000 through BuildKit's
// receiver, which holds the others, in this process.
func BenchmarkTransfer(b *testing.B) {
	r := manyFiles(b)
	to := b.TempDir()
	if _, err := transfer(b, mustContext(b, open(b, r, "main"), "", ""), to); err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		b.StopTimer()
		i++
		r.Commit("refs/heads/main", "change", sourcetest.Files{"pkg01/part1/file1.go": fmt.Sprintf("%09d", i)})
		b.StartTimer()
		c := open(b, r, "main")
		opened, err := transfer(b, mustContext(b, c, "", ""), to)
		if err != nil || len(opened) != 1 {
			b.Fatalf("asked for %q, %v", opened, err)
		}
		c.Close()
	}
}
