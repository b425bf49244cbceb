package gitlab

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "gitlab.com/gitlab-org/api/client-go" // its examples

	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

var updateExamples = flag.Bool("update-examples", false, "write testdata/examples.want")

// hookExample is a payload as GitLab's Go client has it.
type hookExample struct {
	name, event string
	body        []byte
}

// hookExamples returns all payloads that the module of GitLab's Go client
// ships. As GitLab documents them, a merge request names another project in
// its attributes than beside them; they are made one.
func hookExamples(t testing.TB) []hookExample {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gitlab.com/gitlab-org/api/client-go").Output()
	if err != nil {
		t.Fatalf("go list: %v; get the module: go mod download gitlab.com/gitlab-org/api/client-go", err)
	}
	var examples []hookExample
	for _, folder := range []string{"webhooks", "systemhooks"} {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "testdata", folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no examples in %s of %s: %v", folder, dir, err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			x := hookExample{name: folder + "/" + strings.TrimSuffix(filepath.Base(file), ".json"), event: "System Hook", body: body}
			var kind struct {
				ObjectKind string `json:"object_kind"`
				Project    struct{ ID int }
				Object     struct {
					Target int `json:"target_project_id"`
				} `json:"object_attributes"`
			}
			if err := json.Unmarshal(body, &kind); err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
				t.Fatalf("%s: %v", x.name, err)
			}
			if folder == "webhooks" {
				x.event = eventHeader(kind.ObjectKind, filepath.Base(file))
			}
			if kind.ObjectKind == "merge_request" && kind.Project.ID > 0 && kind.Object.Target > 0 {
				x.body = bytes.Replace(body, fmt.Appendf(nil, `"id": %d,`, kind.Project.ID), fmt.Appendf(nil, `"id": %d,`, kind.Object.Target), -1)
			}
			examples = append(examples, x)
		}
	}
	return examples
}

// eventHeader is the X-Gitlab-Event of an example.
func eventHeader(kind, file string) string {
	switch file {
	case "project.json", "subgroup.json", "member.json":
		kind = strings.TrimSuffix(file, ".json")
	}
	words := strings.Split(kind, "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ") + " Hook"
}

// TestExamples: each example payload comes to events, or is ignored with a
// reason; testdata/examples.want lists which.
func TestExamples(t *testing.T) {
	f := hookForge(t)
	var got strings.Builder
	for _, x := range hookExamples(t) {
		header := hookHeader(x.event, hookDelivery)
		if err := f.Verify(header, x.body); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		events, err := f.Events(header, x.body)
		fmt.Fprintf(&got, "%s: ", x.name)
		switch {
		case err == nil && len(events) == 1:
			e := events[0]
			if err := forgetest.CheckEvent(hookInstance, e); err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
			fmt.Fprintf(&got, "%s %s %s ref=%s before=%.7s commit=%.7s by %s", e.Kind, e.Repository.ID, e.Repository.FullName(), e.Ref, e.Before, e.Commit, e.Actor)
			if e.Pull != nil {
				fmt.Fprintf(&got, " %+v", *e.Pull)
			}
		case len(events) == 0 && errors.Is(err, forge.ErrIgnored):
			fmt.Fprint(&got, err)
		default:
			t.Errorf("%s: %v, %v", x.name, events, err)
		}
		got.WriteByte('\n')
	}
	const golden = "testdata/examples.want"
	if *updateExamples {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("outcomes (-want +got), accept with -update-examples:\n%s", diff)
	}
}

// TestBrokenExamples: no example makes a panic or our error, cut off anywhere
// or with a bit turned anywhere.
func TestBrokenExamples(t *testing.T) {
	f := hookForge(t)
	for _, x := range hookExamples(t) {
		header := hookHeader(x.event, hookDelivery)
		whole := bytes.TrimSpace(x.body)
		for n := range whole {
			if n%31 != 0 && n < len(whole)-20 {
				continue // it takes the square of the length
			}
			if events, err := f.Events(header, whole[:n]); !errors.Is(err, forge.ErrPayload) || len(events) != 0 {
				t.Fatalf("%s, %d bytes of it: %v, %v, want ErrPayload", x.name, n, events, err)
			}
			body := bytes.Clone(whole)
			body[n] ^= 1 << (n % 8)
			events, err := f.Events(header, body)
			if err != nil && !errors.Is(err, forge.ErrPayload) && !errors.Is(err, forge.ErrIgnored) {
				t.Fatalf("%s, byte %d turned: %v", x.name, n, err)
			}
			for _, e := range events {
				if err := forgetest.CheckEvent(hookInstance, e); err != nil {
					t.Errorf("%s, byte %d turned: %v", x.name, n, err)
				}
			}
		}
	}
}

func FuzzPayloads(f *testing.F) {
	intake := hookForge(f)
	for _, d := range hookDeliveries() {
		f.Add(d.event, hookDelivery, []byte(d.body))
	}
	f.Fuzz(func(t *testing.T, event, delivery string, body []byte) {
		header := hookHeader(event, delivery)
		events, err := intake.Events(header, body)
		if err != nil && !errors.Is(err, forge.ErrPayload) && !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("events: %v", err)
		}
		for _, e := range events {
			if err := forgetest.CheckEvent(hookInstance, e); err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkEvents is what accepting a push costs before the store is asked.
func BenchmarkEvents(b *testing.B) {
	f := hookForge(b)
	var body []byte
	for _, x := range hookExamples(b) {
		if x.name == "webhooks/push" {
			body = x.body
		}
	}
	// As many commits as make it as long as GitHub's example.
	at := bytes.Index(body, []byte(`"commits": [`)) + len(`"commits": [`)
	commit := []byte(`{"id":"b6568db1bc1dcd7f8b4d5a946b0b91f9dacd7327","message":"` + strings.Repeat("x", 200) + `","added":["CHANGELOG"],"modified":["a/b.rb"],"removed":[]},`)
	body = bytes.Join([][]byte{body[:at], bytes.Repeat(commit, 16), body[at:]}, nil)
	header := hookHeader("Push Hook", hookDelivery)
	header.Set("X-Gitlab-Token", hookToken("ours", hookInstance, scope{Kind: scopeProject, ID: 15}))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Verify(header, body); err != nil {
			b.Fatal(err)
		}
		if _, err := f.Events(header, body); err != nil {
			b.Fatal(err)
		}
	}
}
