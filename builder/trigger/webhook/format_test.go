package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/triggertest"
	"github.com/registry-build/registry-build/config"
)

// receiver keeps what came, and answers with the statuses in turn and 200
// then.
type receiver struct {
	mu       sync.Mutex
	headers  []http.Header
	bodies   [][]byte
	statuses []int
}

func (r *receiver) serve(t *testing.T) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers, r.bodies = append(r.headers, req.Header), append(r.bodies, body)
		if len(r.statuses) > 0 {
			w.WriteHeader(r.statuses[0])
			r.statuses = r.statuses[1:]
		}
	}).URL
}

func (r *receiver) deliveries() []string {
	var out []string
	for _, h := range r.headers {
		out = append(out, h.Get(DeliveryHeader))
	}
	return out
}

func formatted(u string, format config.WebhookFormat) trigger.Firing {
	tr := hook(u)
	tr.Webhook.Format = format
	return triggertest.Firing(tr, 1)
}

func TestCloudEvent(t *testing.T) {
	var r receiver
	k := named(t)
	if _, err := k.Fire(t.Context(), formatted(r.serve(t), config.FormatCloudEvents)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Content-Type":  "application/cloudevents+json; charset=utf-8",
		DeliveryHeader:  "06EXAMPLE0BUILD1-audit",
		SignatureHeader: Sign(secret, time.Unix(1795262400, 0), r.bodies[0]),
	}
	for h, v := range want {
		if got := r.headers[0].Get(h); got != v {
			t.Errorf("%s: %q, want %q", h, got, v)
		}
	}
	golden(t, "testdata/cloudevent.json", r.bodies[0])
}

// The specification's rules, over every event that can be sent.
func TestCloudEventsKeepTheSpecification(t *testing.T) {
	failed := formatted("https://example.com/", config.FormatCloudEvents)
	failed.Event, failed.Record.State, failed.Record.Digest = config.OnFailed, builder.Failed, ""
	failed.Tags = []string{"v1", "v2"}
	recovered := formatted("https://example.com/", config.FormatCloudEvents)
	recovered.Event, recovered.Tags = config.OnRecovered, []string{"v1", "v2"}
	tests := map[string]struct {
		k       *Kind
		f       trigger.Firing
		kind    string
		source  string
		subject string
	}{
		"pushed": {named(t), formatted("https://example.com/", config.FormatCloudEvents), "dev.registry-build.image.pushed",
			"https://build.example.com/builds", "registry.example.com/acme/hello:v1.2.3"},
		"failed":    {named(t), failed, "dev.registry-build.build.failed", "https://build.example.com/builds", "registry.example.com/acme/hello"},
		"recovered": {named(t), recovered, "dev.registry-build.build.recovered", "https://build.example.com/builds", "registry.example.com/acme/hello@" + recovered.Record.Digest},
		"no address of its own": {newKind(t, Options{}), formatted("https://example.com/", config.FormatCloudEvents),
			"dev.registry-build.image.pushed", "/acme/hello", "acme/hello:v1.2.3"},
		"by hand": {named(t), byHand("https://example.com/", config.FormatCloudEvents), "dev.registry-build.image.pushed",
			"https://build.example.com/builds", "registry.example.com/acme/hello:v1.2.3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			messages, err := tt.k.messages(config.FormatCloudEvents, tt.f)
			if err != nil || len(messages) != 1 {
				t.Fatal(messages, err)
			}
			var e map[string]any
			if err := json.Unmarshal(messages[0].body, &e); err != nil {
				t.Fatal(err)
			}
			if e["specversion"] != "1.0" || e["id"] != tt.f.Delivery || e["type"] != tt.kind || e["source"] != tt.source || e["subject"] != tt.subject {
				t.Errorf("%v", e)
			}
			for attribute, value := range e {
				if strings.Trim(attribute, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || value == "" || value == nil {
					t.Errorf("attribute %q: %v", attribute, value)
				}
			}
			if _, err := url.Parse(e["source"].(string)); err != nil {
				t.Error(err)
			}
			if _, err := time.Parse(time.RFC3339, e["time"].(string)); err != nil {
				t.Error(err)
			}
			if _, ok := e["data"].(map[string]any); !ok || e["datacontenttype"] != "application/json" {
				t.Errorf("data is %v of %v, want an object of application/json", e["data"], e["datacontenttype"])
			}
		})
	}
}

// byHand is the firing of an image that somebody pushed himself: no commit,
// no build.
func byHand(u string, format config.WebhookFormat) trigger.Firing {
	f := formatted(u, format)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	f.Record = builder.Record{
		Build:    builder.Build{ID: "06EXAMPLE0BUILD1", Destination: "acme/hello", Actor: "ada", AcceptedAt: at},
		Progress: builder.Progress{State: builder.Pushed, FinishedAt: at},
		Result:   builder.Result{Digest: f.Record.Digest},
	}
	return f
}

func TestPayloadOfAPushByHand(t *testing.T) {
	body, err := json.Marshal(named(t).payload(byHand("https://example.com/", "")))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/byhand.json", body)
}

func TestDockerHub(t *testing.T) {
	var r receiver
	k := named(t)
	f := formatted(r.serve(t), config.FormatDockerHub)
	f.Tags = []string{"v1.2.3", "latest"}
	if _, err := k.Fire(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"06EXAMPLE0BUILD1-audit:v1.2.3", "06EXAMPLE0BUILD1-audit:latest"}, r.deliveries()); diff != "" {
		t.Error(diff)
	}
	if got := r.headers[0].Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: %s", got)
	}
	golden(t, "testdata/dockerhub.json", r.bodies[0])

	// Keel decodes so (pkg/http/dockerhub_webhook_trigger.go), and refuses
	// what has no name or tag.
	type keel struct {
		PushData struct {
			PushedAt int   `json:"pushed_at"`
			Images   []any `json:"images"`
			Tag      string
			Pusher   string
		} `json:"push_data"`
		CallbackURL string `json:"callback_url"`
		Repository  struct {
			IsTrusted    bool   `json:"is_trusted"`
			IsOfficial   bool   `json:"is_official"`
			IsPrivate    bool   `json:"is_private"`
			StarCount    int    `json:"star_count"`
			CommentCount int    `json:"comment_count"`
			DateCreated  int    `json:"date_created"`
			RepoName     string `json:"repo_name"`
		} `json:"repository"`
	}
	// Flux's notification controller: internal/server/receiver_handlers.go.
	type flux struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			URL string `json:"repo_url"`
		} `json:"repository"`
	}
	for i, tag := range f.Tags {
		var a keel
		if err := json.Unmarshal(r.bodies[i], &a); err != nil || a.Repository.RepoName != "registry.example.com/acme/hello" || a.PushData.Tag != tag {
			t.Errorf("Keel would read %+v, %v", a, err)
		}
		var b flux
		if err := json.Unmarshal(r.bodies[i], &b); err != nil || b.Repository.URL+":"+b.PushData.Tag != "https://registry.example.com/acme/hello:"+tag {
			t.Errorf("Flux would read %+v, %v", b, err)
		}
	}
}

func TestDockerHubStopsAtTheFirstThatIsNotTaken(t *testing.T) {
	r := receiver{statuses: []int{200, 503}}
	k := named(t)
	f := formatted(r.serve(t), config.FormatDockerHub)
	f.Tags = []string{"a", "b", "c"}
	_, err := k.Fire(t.Context(), f)
	if _, again := trigger.IsTemporary(err); !again || len(r.bodies) != 2 {
		t.Errorf("error %v, %d requests", err, len(r.bodies))
	}
	if answer, err := k.Fire(t.Context(), f); err != nil || strings.Count(answer.Text, "200 OK") != 3 {
		t.Errorf("answer %q, %v", answer.Text, err)
	}
	if got := r.deliveries(); len(got) != 5 || !slices.Equal(got[:2], got[2:4]) {
		t.Errorf("deliveries %q", got)
	}
}

func TestDockerHubNames(t *testing.T) {
	type names struct{ RepoName, RepoURL, Namespace, Name string }
	tests := map[string]struct {
		registry, destination string
		want                  names
	}{
		"embedded":     {"127.0.0.1:5000", "acme/hello", names{"127.0.0.1:5000/acme/hello", "https://127.0.0.1:5000/acme/hello", "acme", "hello"}},
		"deeper":       {"127.0.0.1:5000", "registry.example.com/a/b/c", names{"registry.example.com/a/b/c", "https://registry.example.com/a/b/c", "a/b", "c"}},
		"one part":     {"127.0.0.1:5000", "registry.example.com/hello", names{"registry.example.com/hello", "https://registry.example.com/hello", "", "hello"}},
		"Docker Hub":   {"127.0.0.1:5000", "docker.io/acme/hello", names{"acme/hello", "https://hub.docker.com/r/acme/hello", "acme", "hello"}},
		"unknown host": {"", "acme/hello", names{"acme/hello", "", "acme", "hello"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := newKind(t, Options{Registry: tt.registry})
			r := k.dockerHubRepository(builder.Record{Build: builder.Build{Destination: tt.destination}})
			if diff := cmp.Diff(tt.want, names{r.RepoName, r.RepoURL, r.Namespace, r.Name}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFormatsThatCannotTell(t *testing.T) {
	var r receiver
	u := r.serve(t)
	failed := formatted(u, config.FormatDockerHub)
	failed.Event = config.OnFailed
	untagged := formatted(u, config.FormatDockerHub)
	untagged.Tags = nil
	for want, f := range map[string]trigger.Firing{
		"can tell of pushed images only":  failed,
		"none that the trigger selects":   untagged,
		`format "soap" is none that this`: formatted(u, "soap"),
	} {
		_, err := named(t).Fire(t.Context(), f)
		if _, again := trigger.IsTemporary(err); again || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want …%s…", err, want)
		}
	}
	if len(r.bodies) != 0 {
		t.Errorf("%d requests", len(r.bodies))
	}
}
