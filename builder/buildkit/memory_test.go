package buildkit

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMemoryWalk(t *testing.T) {
	m := memoryOf(map[string][]byte{
		"a/b/one": nil, "a/b.txt": nil, "a-b": nil, "Dockerfile": nil, "Dockerfile.dockerignore": nil, "z": nil,
	})
	for _, c := range []struct {
		name, target, skip string
		result             error
		want               []string
	}{
		{name: "all", want: []string{"Dockerfile", "Dockerfile.dockerignore", "a", "a/b", "a/b/one", "a/b.txt", "a-b", "z"}},
		{name: "a slash first", target: "/a", want: []string{"a", "a/b", "a/b/one", "a/b.txt"}},
		{name: "a file alone", target: "Dockerfile", want: []string{"Dockerfile"}},
		{name: "nothing", target: "nope"},
		{name: "without a directory", skip: "a/b", result: fs.SkipDir, want: []string{"Dockerfile", "Dockerfile.dockerignore", "a", "a/b", "a/b.txt", "a-b", "z"}},
		{name: "without the rest of one", skip: "a/b/one", result: fs.SkipDir, want: []string{"Dockerfile", "Dockerfile.dockerignore", "a", "a/b", "a/b/one", "a/b.txt", "a-b", "z"}},
		{name: "until", skip: "a", result: fs.SkipAll, want: []string{"Dockerfile", "Dockerfile.dockerignore", "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := m.Walk(t.Context(), c.target, func(name string, _ fs.DirEntry, err error) error {
				got = append(got, name)
				if name == c.skip {
					return c.result
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("walk (-want +got):\n%s", diff)
			}
		})
	}
}
