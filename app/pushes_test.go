package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/registry"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/oci"
)

// pushLab is an embedded registry that tells a store of pushes.
type pushLab struct {
	t      *testing.T
	redis  *storetest.Server
	store  *store.Store
	tokens *credential.Tokens
	host   string
	ann    string // a token
}

func newPushLab(t *testing.T) *pushLab {
	t.Helper()
	ann, hash := credential.GenerateToken()
	tokens, err := credential.NewTokens([]config.Token{{Name: "ann", Hash: hash, Repositories: []string{"acme/*"},
		Scopes: []string{config.ScopeRegistryPull, config.ScopeRegistryPush}}})
	if err != nil {
		t.Fatal(err)
	}
	l := &pushLab{t: t, redis: storetest.Start(t), tokens: tokens, ann: ann}
	server := httptest.NewUnstartedServer(nil)
	l.host = server.Listener.Addr().String()
	l.store = l.redis.Store(t, store.Options{Host: l.host})
	door := access{tokens}
	pushes, err := oci.OpenJournal(oci.JournalOptions{Dir: t.TempDir(), Store: l.store, Pusher: door.pusher, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := oci.New(oci.Options{Dir: t.TempDir(), Access: oci.AccessFunc(door.registry), Secret: []byte("0123456789abcdef"), Pushed: pushes.Pushed})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = reg
	server.Start()
	t.Cleanup(func() { server.Close(); reg.Close() })
	return l
}

// push pushes an image as docker push does, and returns its digest.
func (l *pushLab) push(token, repository, tag string, img v1.Image) string {
	l.t.Helper()
	if err := crane.Push(img, l.host+"/"+repository+":"+tag, crane.WithAuth(&authn.Basic{Username: "x", Password: token})); err != nil {
		l.t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		l.t.Fatal(err)
	}
	return d.String()
}

func (l *pushLab) tagReader() tagReader {
	return tagReader{images: registry.New(registry.Options{Insecure: []string{l.host}}), tokens: l.tokens, host: l.host}
}

// run runs something that ends with its context until the test ends.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// dispatch decides what is pushed, by the rules of real triggers.
func (l *pushLab) dispatch(operators ...config.ServerTrigger) {
	l.t.Helper()
	log := slog.New(slog.DiscardHandler)
	triggers, err := trigger.NewSet(trigger.Options{Redact: func(_ context.Context, text string) string { return text }, Log: log})
	if err != nil {
		l.t.Fatal(err)
	}
	d := &builder.Dispatcher{Inbox: l.store, Registrations: l.store, Operators: operators, Triggers: triggers,
		TagNames: l.tagReader().TagNames, Name: "test", Log: log}
	run(l.t, d.Run)
}

// records waits for as many records of pushes, newest first.
func (l *pushLab) records(n int) []builder.Record {
	l.t.Helper()
	var page []builder.Record
	until(l.t, "the records of the pushes", func() bool {
		var err error
		page, _, err = l.store.Builds(l.t.Context(), builder.BuildFilter{State: builder.Pushed})
		return err == nil && len(page) >= n
	})
	return page
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited too long for %s", what)
		case <-poll.C:
		}
	}
}

func anImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func operatorTrigger(t *testing.T, name, tags string) config.ServerTrigger {
	t.Helper()
	selector, err := config.ParseTagSelector(tags)
	if err != nil {
		t.Fatal(err)
	}
	return config.ServerTrigger{Images: []string{"acme/*"}, Trigger: config.Trigger{Name: name, Tags: selector, Operator: true}}
}

func TestDockerPushFiresTriggers(t *testing.T) {
	l := newPushLab(t)
	l.dispatch(operatorTrigger(t, "server.prod", "v1;v2"), operatorTrigger(t, "server.dev", "edge"))
	first, second := anImage(t), anImage(t)

	digest := l.push(l.ann, "acme/hello", "v1", first)
	got := l.records(1)[0]
	if diff := cmp.Diff([]builder.TagOutcome{{Tag: "v1", Moved: true}}, got.Tagged); diff != "" || got.Digest != digest || got.Destination != "acme/hello" || got.Actor != "ann" {
		t.Errorf("record %+v (-want +got):\n%s", got, diff)
	}
	d, err := l.store.Decision(t.Context(), got.EventID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"server.prod"}, d.Pushes[0].Fire); diff != "" {
		t.Errorf("fired (-want +got):\n%s", diff)
	}

	// Neither the same digest again nor a tag of a build of ours is news.
	l.push(l.ann, "acme/hello", "same", first)
	l.push(l.ann, "acme/hello", "v1", first)
	token, revoke := l.tokens.Mint("build "+got.ID, credential.BuildGrants("acme/hello"), time.Minute)
	defer revoke()
	l.push(token, "acme/hello", "v2", second)
	digest = l.push(l.ann, "acme/hello", "v1", second)
	all := l.records(2)
	if len(all) != 2 || all[0].Digest != digest || all[0].Tagged[0].Previous != got.Digest {
		t.Errorf("records %+v", all)
	}
}

func TestTagReader(t *testing.T) {
	l := newPushLab(t)
	digest := l.push(l.ann, "acme/hello", "v1", anImage(t))
	reader := l.tagReader()
	if got, err := reader.TagNames(t.Context(), "acme/hello", "v1"); err != nil || got != digest {
		t.Errorf("v1 names %q, %v; want %q", got, err, digest)
	}
	if _, err := reader.TagNames(t.Context(), "acme/hello", "v2"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("a tag that is not there: %v", err)
	}
}
