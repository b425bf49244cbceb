package builder

import (
	"reflect"
	"strings"
	"testing"
)

func sampleParts() InputKeyParts {
	return InputKeyParts{
		Lane: TrustedLane, Repository: "git:acme/hello", Destination: "acme/hello",
		Frontend: "dockerfile.v0", BuildKit: "v0.33.1",
		Dockerfile: []byte("FROM scratch\n"), Context: "sha256:11",
		Args:   map[string]string{"A": "1", "B": "2"},
		Target: "release", Platforms: []string{"linux/amd64", "linux/arm64"},
		Bases:   map[string]string{"docker.io/library/debian:12": "sha256:22"},
		Output:  map[string]string{"oci-mediatypes": "true"},
		Secrets: map[string]string{"npmrc": "3"}, Network: "default",
	}
}

func TestInputKeyChangesWithEveryPart(t *testing.T) {
	change := map[string]func(p *InputKeyParts){
		"Lane":        func(p *InputKeyParts) { p.Lane = ForkLane },
		"Repository":  func(p *InputKeyParts) { p.Repository = "git:acme/other" },
		"Destination": func(p *InputKeyParts) { p.Destination = "acme/other" },
		"Frontend":    func(p *InputKeyParts) { p.Frontend = "dockerfile.v1" },
		"BuildKit":    func(p *InputKeyParts) { p.BuildKit = "v0.33.2" },
		"Dockerfile":  func(p *InputKeyParts) { p.Dockerfile = []byte("FROM scratch") },
		"Context":     func(p *InputKeyParts) { p.Context = "sha256:12" },
		"Args":        func(p *InputKeyParts) { p.Args["A"] = "3" },
		"Target":      func(p *InputKeyParts) { p.Target = "debug" },
		"Platforms":   func(p *InputKeyParts) { p.Platforms = p.Platforms[:1] },
		"Bases":       func(p *InputKeyParts) { p.Bases["docker.io/library/debian:12"] = "sha256:23" },
		"Output":      func(p *InputKeyParts) { p.Output["compression"] = "zstd" },
		"Secrets":     func(p *InputKeyParts) { p.Secrets["npmrc"] = "4" },
		"Network":     func(p *InputKeyParts) { p.Network = "none" },

		"Args: another name":        func(p *InputKeyParts) { delete(p.Args, "A"); p.Args["C"] = "1" },
		"Args: swapped values":      func(p *InputKeyParts) { p.Args["A"], p.Args["B"] = "2", "1" },
		"Args: name and value run":  func(p *InputKeyParts) { delete(p.Args, "A"); p.Args["A1"] = "" },
		"Args: bytes, not text":     func(p *InputKeyParts) { p.Args["A"] = "\xff" },
		"Args: other bytes":         func(p *InputKeyParts) { p.Args["A"] = "\xfe" },
		"text from part to part":    func(p *InputKeyParts) { p.Repository, p.Destination = "git:acme/helloa", "cme/hello" },
		"a map to the next":         func(p *InputKeyParts) { p.Output["npmrc"] = "3"; p.Secrets = nil },
		"platform ends in the next": func(p *InputKeyParts) { p.Platforms = []string{"linux/amd64linux/arm64"} },
	}
	seen := map[string]string{InputKey(sampleParts()): "nothing"}
	for name, f := range change {
		p := sampleParts()
		f(&p)
		key := InputKey(p)
		if was, ok := seen[key]; ok {
			t.Errorf("changing %s gives the key of changing %s", name, was)
		}
		seen[key] = name
	}
	for field := range reflect.TypeFor[InputKeyParts]().Fields() {
		if change[field.Name] == nil {
			t.Errorf("no case changes %s", field.Name)
		}
	}
}

func TestInputKeyIgnoresOrder(t *testing.T) {
	want := InputKey(sampleParts())
	for range 20 { // map order differs from run to run
		p := sampleParts()
		p.Platforms = []string{"linux/arm64", "linux/amd64"}
		p.Args = map[string]string{"B": "2", "A": "1"}
		if got := InputKey(p); got != want {
			t.Fatalf("order changed the key: %s, %s", got, want)
		}
		if p.Platforms[0] != "linux/arm64" {
			t.Fatal("the caller's platforms were sorted in place")
		}
	}
	empty, null := InputKeyParts{Args: map[string]string{}, Platforms: []string{}}, InputKeyParts{}
	if InputKey(empty) != InputKey(null) {
		t.Error("no arguments and an empty list of arguments differ")
	}
}

// A key is kept in Redis for months: a change of the encoding must be meant,
// and takes another version.
func TestInputKeyIsStable(t *testing.T) {
	got := InputKey(sampleParts())
	if !strings.HasPrefix(got, "v1:") || len(got) != 3+64 {
		t.Errorf("shape of %s", got)
	}
	if want := "v1:50a4c9917f568b1e25d2ece02c12f9439ac4c4fcfe9dd780fd01f788e10154d0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
