package handlers_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
)

// registered are registrations by image repository.
type registered map[string][]builder.Registration

func (r registered) Registrations(_ context.Context, destination string) ([]builder.Registration, error) {
	return r[destination], nil
}

func (registered) Pushed(context.Context, string, string) (string, error) { return "", nil }

var _ builder.Registrations = registered{}

// notified starts a server that takes notifications.
func notified(t *testing.T, f *fake) *api {
	t.Helper()
	s := f.server(t.Output())
	s.Registrations = registered{"registry.example.com/acme/api": {{Repository: hello}}}
	return start(t, s.Routes())
}

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// harborPayload is one of Harbor's documented notifications, told of a tag.
func harborPayload(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/harbor/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// event is one of distribution's.
func event(id, action, repository, tag, digest string) string {
	return fmt.Sprintf(`{"id": %q, "timestamp": "2026-11-21T10:00:00Z", "action": %q, "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7,
		"digest": %q, "repository": %q, "url": "http://registry.internal:5000/v2/x", "tag": %q},
		"request": {"id": "r", "host": "registry.example.com", "method": "PUT"}, "actor": {"name": "ann"}, "source": {}}`, id, action, digest, repository, tag)
}

func envelope(events ...string) string { return `{"events": [` + strings.Join(events, ",") + `]}` }

func TestNotifications(t *testing.T) {
	push := func(id, repository, tag, digest string) string { return event(id, "push", repository, tag, digest) }
	image := func(destination, tag, digest string) *builder.ImagePush {
		return &builder.ImagePush{Destination: destination, Tag: tag, Digest: digest}
	}
	web := builder.Repository{Forge: "registry", ID: "registry.example.com/acme/web", Owner: "registry.example.com/acme", Name: "web"}
	for _, tt := range []struct {
		name, body string
		want       []builder.Event
		ignored    string
	}{
		{"distribution", envelope(push("e1", "acme/api", "v1", digestA)), []builder.Event{
			{ID: "registry:e1:registry.example.com/acme/api:v1", Kind: builder.ImagePushed, Repository: hello, Actor: "ann", Image: image("registry.example.com/acme/api", "v1", digestA)}}, ""},
		{"distribution, of an image that nobody builds", envelope(push("e1", "acme/web", "v1", digestA)), []builder.Event{
			{ID: "registry:e1:registry.example.com/acme/web:v1", Kind: builder.ImagePushed, Repository: web, Actor: "ann", Image: image("registry.example.com/acme/web", "v1", digestA)}}, ""},
		{"distribution, two", envelope(push("e1", "acme/api", "v1", digestA), push("e2", "acme/api", "v2", digestB)), []builder.Event{
			{ID: "registry:e1:registry.example.com/acme/api:v1", Kind: builder.ImagePushed, Repository: hello, Actor: "ann", Image: image("registry.example.com/acme/api", "v1", digestA)},
			{ID: "registry:e2:registry.example.com/acme/api:v2", Kind: builder.ImagePushed, Repository: hello, Actor: "ann", Image: image("registry.example.com/acme/api", "v2", digestB)}}, ""},
		{"distribution, with what is no push of a tag", envelope(event("e0", "pull", "acme/api", "v1", digestA), push("e1", "acme/api", "", digestB), push("e2", "acme/api", "", digestA)),
			nil, `"pull" is no push; a push without a tag starts nothing`},
		{"an image that the token does not reach", envelope(push("e1", "evil/corp", "v1", digestA)), nil, "token ada may not tell of registry.example.com/evil/corp"},
		{"none", `{"events": []}`, nil, ""},
		{"an id that is no word", envelope(push("a b\n", "acme/api", "v1", digestA)), []builder.Event{
			{ID: "registry:ID:registry.example.com/acme/api:v1", Kind: builder.ImagePushed, Repository: hello, Actor: "ann", Image: image("registry.example.com/acme/api", "v1", digestA)}}, ""},
		{"Harbor", harborPayload(t, "push"), []builder.Event{
			{ID: "registry:ID:registry.example.com/acme/api:v1.2", Kind: builder.ImagePushed, Repository: hello, Actor: "robot$acme+ci", Image: image("registry.example.com/acme/api", "v1.2", digestA)}}, ""},
		{"Harbor, CloudEvents", harborPayload(t, "push-cloudevents"), []builder.Event{
			{ID: "registry:66e18103-09c1-41f6-982f-37df223f3eeb:registry.example.com/acme/api:v1.2", Kind: builder.ImagePushed, Repository: hello, Actor: "ann", Image: image("registry.example.com/acme/api", "v1.2", digestA)}}, ""},
		{"Harbor, by digest", harborPayload(t, "push-digest"), nil, "a push without a tag starts nothing"},
		{"Harbor, a pull", harborPayload(t, "pull"), nil, `"PULL_ARTIFACT" is no push`},
		{"Harbor, a deletion as CloudEvents", harborPayload(t, "delete-cloudevents"), nil, `"harbor.artifact.deleted" is no push`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			a := notified(t, f)
			for range 2 { // told again, it is the same
				var got handlers.Accepted
				a.ask("POST", "/hooks/registry", tt.body, 202, &got)
				if got.Ignored != tt.ignored || len(got.Events) != len(tt.want) {
					t.Errorf("answer %+v; want %d events, ignored %q", got, len(tt.want), tt.ignored)
				}
			}
			got := f.appended()
			for i := range got {
				if i < len(tt.want) && strings.Contains(tt.want[i].ID, ":ID:") {
					tt.want[i].ID = got[i].ID // made of a sum
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What is told of our own registry is named as everybody names it.
func TestNotificationOfTheEmbeddedRegistry(t *testing.T) {
	p := handlers.ImagePushOf(newFake().server(t.Output()), "127.0.0.1:5080/acme/api")
	if p.Destination != "acme/api" {
		t.Errorf("it is %q", p.Destination)
	}
}

func TestNotificationsThatAreRefused(t *testing.T) {
	bad := func(what, with string) string {
		return strings.Replace(envelope(event("e1", "push", "acme/api", "v1", digestA)), what, with, 1)
	}
	for _, tt := range []struct {
		name, token, body string
		status            int
		want              string
	}{
		{"nobody", "", "", 401, "a token with the scope registry:notify is needed: Authorization: Bearer TOKEN"},
		{"a token without the scope", "puller", "", 403, "token puller has no scope registry:notify"},
		{"nothing", "ada", "", 400, "the body is empty; send a JSON object"},
		{"no JSON", "ada", "<xml>", 400, "the body is no JSON: invalid character '<' looking for beginning of value, at byte 1"},
		{"something else", "ada", `{"zen": "x"}`, 400, "the body is no notification of a registry: it has neither distribution's events nor Harbor's type"},
		{"too much", "ada", strings.Repeat(" ", 1<<20+1), 413, "the body is larger than 1 MiB"},
		{"no id", "ada", bad(`"e1"`, `""`), 400, "a push of registry.example.com/acme/api has no id"},
		{"no host", "ada", bad(`"registry.example.com"`, `"registry"`), 400, `"registry" is no registry's host: it has neither a dot nor a port`},
		{"no repository", "ada", bad(`"acme/api"`, `"../acme"`), 400, `"registry.example.com/../acme" is no image repository`},
		{"no tag", "ada", bad(`"v1"`, `"-v1"`), 400, `"-v1" is no tag`},
		{"no digest", "ada", bad(digestA, "sha256:aa"), 400, `"sha256:aa" is no digest`},
		{"one bad among good ones", "ada", envelope(event("e1", "push", "acme/api", "v1", digestA), event("e2", "push", "acme/api", "v2", "x")), 400, `"x" is no digest`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			if got := notified(t, f).as(tt.token).refused("POST", "/hooks/registry", tt.body, tt.status); got != tt.want {
				t.Errorf("refused with %q, want %q", got, tt.want)
			}
			if got := f.appended(); got != nil {
				t.Errorf("appended %v", got)
			}
		})
	}
}

// The registry tells again what could not be taken down.
func TestNotificationWhileTheStoreIsAway(t *testing.T) {
	f := newFake()
	f.down = builder.ErrUnavailable
	a := notified(t, f)
	a.refused("POST", "/hooks/registry", envelope(event("e1", "push", "acme/api", "v1", digestA)), 503)
}

// The record of a push is shown like a build, also by its event.
func TestAPushIsShown(t *testing.T) {
	f := newFake()
	rec := builder.Record{
		Build: builder.Build{ID: noBuild, EventID: "registry:e1", EventKind: builder.ImagePushed, Repository: hello, Image: "hello", Actor: "ann",
			Destination: "acme/hello", Tags: []string{"v1"}},
		Progress: builder.Progress{State: builder.Pushed},
		Result:   builder.Result{Digest: digestA, Tagged: []builder.TagOutcome{{Tag: "v1", Moved: true}}},
	}
	f.builds[noBuild], f.events["registry:e1"] = rec, builder.Event{ID: "registry:e1", Repository: hello}
	f.decide = func(builder.Event) builder.Decision { return builder.Decision{Pushes: []builder.Push{{Record: rec}}} }
	var answer handlers.EventAnswer
	start(t, f.server(t.Output()).Routes()).ask("GET", "/api/v1/events/registry:e1", "", 200, &answer)
	want := []handlers.Build{{
		ID: noBuild, State: "pushed", Status: "pushed by ann: v1", Source: "imagePush", Repository: "acme/hello", Forge: "git", Image: "hello", Actor: "ann",
		Event: "registry:e1", Destination: "127.0.0.1:5080/acme/hello", Tags: []handlers.Tag{{Name: "v1", Put: true}}, Digest: digestA,
		Reference: "127.0.0.1:5080/acme/hello@" + digestA, URL: "http://127.0.0.1:5080/builds/" + noBuild,
	}}
	if diff := cmp.Diff(want, answer.Builds); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
}
