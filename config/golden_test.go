package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the .want files of testdata anew")

// files returns the YAML files of a folder of testdata; none is an error.
func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", dir, "*.yml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata/%s: %v", dir, err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkGolden compares the problems of a file with its .want file.
func checkGolden(t *testing.T, name string, ds Diagnostics) {
	t.Helper()
	if len(ds) == 0 {
		t.Fatal("no problem was found")
	}
	got := ds.Error() + "\n"
	want := strings.TrimSuffix(name, ".yml") + ".want"
	if *update {
		if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, want)), got); diff != "" {
		t.Errorf("problems differ; see them, then run go test -update (-want +got)\n%s", diff)
	}
}

func TestBuildFileErrors(t *testing.T) {
	for _, name := range files(t, "err") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, ds := ParseBuildFile(filepath.Base(name), read(t, name))
			if f != nil {
				t.Error("a file with problems was returned")
			}
			checkGolden(t, name, ds)
		})
	}
}

func TestServerErrors(t *testing.T) {
	t.Setenv("TEST_SECRET", "s3cr3t value")
	for _, name := range files(t, "server/err") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			// The folder stays in the name: ${file:…} starts there.
			s, ds := ParseServer(filepath.ToSlash(name), read(t, name))
			if s != nil {
				t.Error("a server with problems was returned")
			}
			if strings.Contains(ds.Error(), "s3cr3t") {
				t.Errorf("a value out of the environment is shown:\n%s", ds.Error())
			}
			checkGolden(t, name, ds)
		})
	}
}

// readSeed is read for fuzz targets, which have no *testing.T yet.
func readSeed(name string) []byte {
	data, _ := os.ReadFile(name)
	return data
}
