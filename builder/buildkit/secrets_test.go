package buildkit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/registry-build/registry-build/builder"
)

func TestInspectMounts(t *testing.T) {
	for _, c := range []struct {
		name       string
		dockerfile string
		spec       builder.Spec
		secrets    []string
		ssh        []string
	}{
		{name: "none", dockerfile: "FROM scratch\nRUN --mount=type=cache,target=/c a\n"},
		{name: "id", dockerfile: "FROM scratch\nRUN --mount=type=secret,id=npmrc a\n", secrets: []string{"npmrc"}},
		{name: "source", dockerfile: "FROM scratch\nRUN --mount=type=secret,source=npmrc a\n", secrets: []string{"npmrc"}},
		{name: "the target's name", dockerfile: "FROM scratch\nRUN --mount=type=secret,target=/root/.npmrc a\n", secrets: []string{".npmrc"}},
		{name: "environment", dockerfile: "FROM scratch\nRUN --mount=type=secret,id=ID,env=ID --mount=type=secret,id=KEY,env=X a\n", secrets: []string{"ID", "KEY"}},
		{name: "environment and file", dockerfile: "FROM scratch\nRUN --mount=type=secret,id=ID,env=ID,target=/id a\n", secrets: []string{"ID"}},
		{name: "here-document", dockerfile: "FROM scratch\nRUN --mount=type=secret,id=a <<EOF\nb\nEOF\nRUN --mount=type=secret,id=c d\n", secrets: []string{"a", "c"}},
		{name: "in order, once each", dockerfile: "FROM scratch AS x\nRUN --mount=type=secret,id=z a\nFROM x\nRUN --mount=type=secret,id=y b\nRUN --mount=type=secret,id=z c\n", secrets: []string{"z", "y"}},
		{name: "arguments", dockerfile: "FROM scratch\nARG NAME=one\nRUN --mount=type=secret,id=$NAME a\n", spec: builder.Spec{Args: map[string]string{"NAME": "two"}}, secrets: []string{"two"}},
		{name: "stages that the target needs", dockerfile: "FROM scratch AS a\nRUN --mount=type=secret,id=a a\nFROM scratch AS b\nRUN --mount=type=secret,id=b b\n", spec: builder.Spec{Target: "a"}, secrets: []string{"a"}},
		{name: "agents", dockerfile: "FROM scratch\nRUN --mount=type=ssh a\nRUN --mount=type=ssh,id=deploy,required b\n", ssh: []string{"default", "deploy"}},
		{name: "ADD of a repository", dockerfile: "FROM scratch\nADD git@example.com:acme/x.git#main /\n", secrets: []string{"GIT_AUTH_TOKEN", "GIT_AUTH_HEADER"}, ssh: []string{"default"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newOfflineSolver(t).Inspect(t.Context(), []byte(c.dockerfile), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{c.secrets, c.ssh}, [][]string{got.Secrets, got.SSH}); diff != "" {
				t.Errorf("secrets, agents (-want +got):\n%s", diff)
			}
		})
	}
}

func newOfflineSolver(t *testing.T) *Solver {
	t.Helper()
	s, err := New(t.Context(), Options{Address: "unix:///nonexistent"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSecretMounts(t *testing.T) {
	s := newSolver(t)
	r := request(shell+`RUN --mount=type=secret,id=file --mount=type=secret,id=ID,env=ID --mount=type=secret,id=none busybox [ "$(busybox cat /run/secrets/file)-$ID" = "one-two" ] && busybox [ ! -e /run/secrets/none ]`+"\n", nil)
	r.Secrets = map[string][]byte{"file": []byte("one"), "ID": []byte("two")}
	solve(t, s, r)

	// The fork lane is given nothing, whatever the request holds.
	r.Dockerfile = []byte(shell + "RUN --mount=type=secret,id=file busybox [ ! -e /run/secrets/file ]\nRUN --mount=type=ssh busybox [ ! -S \"$SSH_AUTH_SOCK\" ]\n")
	r.SSH = map[string][]byte{"default": newKey(t)}
	r.Lane = builder.ForkLane
	solve(t, s, r)

	r.Lane, r.Secrets["file"] = builder.TrustedLane, make([]byte, 501<<10)
	_, err := s.Solve(t.Context(), r, io.Discard)
	var f *builder.Failure
	if !errors.As(err, &f) || f.Stage != builder.StageConfig || f.Message != `the value of secret "file" is too long: a step can mount at most 500 KiB` {
		t.Errorf("failure %v", err)
	}
}

// What a step requires and nobody gave is one sentence, with what to write.
func TestMissingMounts(t *testing.T) {
	s := newSolver(t)
	for name, c := range map[string]struct {
		mount, want string
		lane        builder.Lane
		give        bool
	}{
		"a file":         {"type=secret,id=npmrc,required", "no secret \"npmrc\" was given to this build: write `secrets: [{id: npmrc, credential: NAME}]` at the image in .registry-build.yml", "", false},
		"a variable":     {"type=secret,id=npmrc,env=NPM,required", "no secret \"npmrc\" was given to this build: write `secrets: [{id: npmrc, credential: NAME}]` at the image in .registry-build.yml", "", false},
		"beside others":  {"type=secret,id=npmrc,required", "no secret \"npmrc\" was given to this build: write `secrets: [{id: npmrc, credential: NAME}]` at the image in .registry-build.yml", "", true},
		"a fork's":       {"type=secret,id=npmrc,required", `no secret "npmrc" was given to this build: a fork's build gets none`, builder.ForkLane, true},
		"no agent":       {"type=ssh,required", "no SSH key \"default\" was given to this build: write `ssh: [{id: default, credential: NAME}]` at the image in .registry-build.yml", "", false},
		"another agent":  {"type=ssh,id=deploy,required", "no SSH key \"deploy\" was given to this build: write `ssh: [{id: deploy, credential: NAME}]` at the image in .registry-build.yml", "", true},
		"a fork's agent": {"type=ssh,required", `no SSH key "default" was given to this build: a fork's build gets none`, builder.ForkLane, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(shell+"RUN --mount="+c.mount+" true\n", nil)
			r.Lane = c.lane
			if c.give {
				r.Secrets, r.SSH = map[string][]byte{"other": []byte("x")}, map[string][]byte{"default": newKey(t)}
			}
			_, err := s.Solve(t.Context(), r, io.Discard)
			var f *builder.Failure
			if !errors.As(err, &f) || f.Message != "Dockerfile:4: "+c.want || f.Line != 4 {
				t.Errorf("failure %v\nwant %s", err, c.want)
			}
		})
	}
}

func newKey(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// agentClient is a program that a step runs: it lists the agent's keys, has
// one sign, and tries what a step may not do.
func agentClient(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "client")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", out, "./testdata/agentclient")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the agent's client: %v\n%s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAgents(t *testing.T) {
	s := newSolver(t)
	one, two := newKey(t), newKey(t)
	r := request(shell+"COPY client /client\nRUN --mount=type=ssh /client\nRUN --mount=type=ssh,id=deploy /client again\nRUN --mount=type=ssh,id=none busybox [ ! -S \"$SSH_AUTH_SOCK\" ]\n",
		map[string]string{"client": agentClient(t)})
	r.SSH = map[string][]byte{"default": one, "deploy": two}
	_, log := solve(t, s, r)
	var seen []string
	for line := range strings.Lines(log) {
		if _, rest, ok := strings.Cut(line, "signed by "); ok {
			seen = append(seen, strings.TrimSpace(rest))
		}
	}
	if want := []string{fingerprint(t, one), fingerprint(t, two)}; !slices.Equal(seen, want) {
		t.Errorf("keys %v, want %v\n%s", seen, want, log)
	}
	if n := strings.Count(log, "refused to add, remove, lock"); n != 2 {
		t.Errorf("%d refusals, want 2\n%s", n, log)
	}
}

func fingerprint(t *testing.T, key []byte) string {
	t.Helper()
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(signer.PublicKey())
}

func TestBadKeys(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, want string }{
		"no key":       {"hunter2hunter2", `the key of ssh "default" cannot be used: it is no private key that OpenSSH reads`},
		"a passphrase": {string(pem.EncodeToMemory(locked)), `the key of ssh "default" cannot be used: it has a passphrase; set one without`},
	} {
		r := request(shell, nil)
		r.SSH = map[string][]byte{"default": []byte(c.key)}
		_, err := newOfflineSolver(t).Solve(t.Context(), r, io.Discard)
		var f *builder.Failure
		if !errors.As(err, &f) || f.Stage != builder.StageConfig || f.Message != c.want || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
