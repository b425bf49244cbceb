package builder_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
)

const labImage = "acme/hello"

// tagTriggers are due by their tags alone.
type tagTriggers struct{}

func (tagTriggers) Due(r builder.Record, _ builder.State) []string {
	var due []string
	for _, t := range r.Triggers {
		if r.State == builder.Pushed && t.Tags.Match(r.Tagged[0].Tag) {
			due = append(due, t.Name)
		}
	}
	return due
}

func (tagTriggers) Fire(context.Context, builder.Firing) builder.TriggerRun {
	return builder.TriggerRun{}
}

func triggerFor(t *testing.T, name, tags string) config.Trigger {
	t.Helper()
	selector, err := config.ParseTagSelector(tags)
	if err != nil {
		t.Fatal(err)
	}
	return config.Trigger{Name: name, Tags: selector, On: []config.Outcome{config.OnPushed}}
}

// register has the repository's default branch register triggers for an image.
func (l *lab) register(ctx context.Context, repo builder.Repository, image string, triggers ...config.Trigger) {
	l.t.Helper()
	e := builder.Event{ID: "git:register:" + repo.ID + image, Kind: builder.BranchPushed, Repository: repo, Ref: "refs/heads/main", Commit: "c"}
	if _, err := l.store.Append(ctx, e); err != nil {
		l.t.Fatal(err)
	}
	lease, err := l.store.NextEvent(ctx, "test")
	if err != nil {
		l.t.Fatal(err)
	}
	err = l.store.Decide(ctx, lease, builder.Decision{Registers: true, Registered: []builder.Registration{{
		Destination: image, Repository: repo, Names: []string{repo.Key(), repo.FullName()}, Image: repo.Name, Triggers: triggers,
	}}})
	if err != nil {
		l.t.Fatal(err)
	}
}

// tell decides somebody's own push as it was told.
func (l *lab) tell(ctx context.Context, d *builder.Dispatcher, id string, p builder.ImagePush) builder.Decision {
	l.t.Helper()
	e, err := builder.PushEvent(ctx, l.store, id, p, "ada")
	if err != nil {
		l.t.Fatal(err)
	}
	return l.decideWith(ctx, d, e)
}

// decideWith accepts an event and has this dispatcher decide it.
func (l *lab) decideWith(ctx context.Context, d *builder.Dispatcher, e builder.Event) builder.Decision {
	l.t.Helper()
	if _, err := l.store.Append(ctx, e); err != nil {
		l.t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); d.Run(run) }()
	decision, err := l.store.AwaitDecision(ctx, e.ID)
	stop()
	<-done
	if err != nil {
		l.t.Fatal(err)
	}
	return decision
}

func (l *lab) pushDispatcher(operators ...config.ServerTrigger) *builder.Dispatcher {
	d := l.dispatcher()
	d.Registrations, d.Triggers, d.Operators = l.store, tagTriggers{}, operators
	return d
}

// fired is what a decision sets off, by source repository.
func fired(d builder.Decision) map[string][]string {
	all := map[string][]string{}
	for _, p := range d.Pushes {
		all[p.Record.Repository.Key()] = p.Fire
	}
	return all
}

func TestPlainPushFires(t *testing.T) {
	l := newLab(t, store.Options{})
	ctx := t.Context()
	other := builder.Repository{Forge: "git", ID: "acme/ops", Owner: "acme", Name: "ops"}
	l.register(ctx, other, labImage, triggerFor(t, "audit", "all"))
	l.register(ctx, labRepo, labImage, triggerFor(t, "prod", "v1;v2"), triggerFor(t, "dev", "edge"))
	operator := config.ServerTrigger{Images: []string{"acme/*"}, Trigger: triggerFor(t, "server.all", "all")}
	elsewhere := config.ServerTrigger{Images: []string{"registry.example.com/*"}, Trigger: triggerFor(t, "server.none", "all")}
	d := l.pushDispatcher(operator, elsewhere)

	decision := l.tell(ctx, d, "1", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:one"})
	want := map[string][]string{labRepo.Key(): {"prod", "server.all"}, other.Key(): {"audit"}}
	if diff := cmp.Diff(want, fired(decision)); diff != "" {
		t.Fatalf("fired (-want +got):\n%s", diff)
	}
	for _, p := range decision.Pushes {
		// Each fires with the names, and so the rights, of its own repository.
		if p.Record.Names[0] != p.Record.Repository.Key() {
			t.Errorf("%s fires as %v", p.Record.Repository.Key(), p.Record.Names)
		}
	}
	r, err := l.store.Build(ctx, decision.Pushes[0].Record.ID)
	if err != nil {
		t.Fatal(err)
	}
	wanted := builder.Record{
		Build: builder.Build{
			EventID: "registry:1:acme/hello:v1", EventKind: builder.ImagePushed, Repository: labRepo, Image: "hello", Lane: builder.TrustedLane,
			Priority: builder.PriorityBranch, Actor: "ada", Destination: labImage, Tags: []string{"v1"}, Names: []string{"git:acme/hello", "acme/hello"}, Seq: 3,
		},
		Progress: builder.Progress{State: builder.Pushed},
		Result:   builder.Result{Digest: "sha256:one", Tagged: []builder.TagOutcome{{Tag: "v1", Moved: true}}},
	}
	ignore := cmpopts.IgnoreFields(builder.Record{}, "Build.ID", "Build.AcceptedAt", "Build.Triggers", "Progress.QueuedAt", "Progress.FinishedAt")
	if diff := cmp.Diff(wanted, r, ignore); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if got := builder.Describe(r); got != "pushed by ada: v1" {
		t.Errorf("it is described as %q", got)
	}

	again := l.tell(ctx, d, "2", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:one"})
	if len(again.Pushes) != 0 || again.Reasons[0].Message != "same digest as before: nothing fires" {
		t.Errorf("the same digest again: %+v", again)
	}
	next := l.tell(ctx, d, "3", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:two"})
	if len(next.Pushes) != 2 || next.Pushes[0].Record.Tagged[0].Previous != "sha256:one" {
		t.Errorf("the next digest: %+v", next)
	}
}

func TestPlainPushThatFiresNothing(t *testing.T) {
	l := newLab(t, store.Options{})
	ctx := t.Context()
	l.register(ctx, labRepo, labImage, triggerFor(t, "prod", "v1"))
	for _, tt := range []struct {
		name     string
		push     builder.ImagePush
		tagNames func(ctx context.Context, destination, tag string) (string, error)
		want     string
		known    bool
	}{
		{"nobody has triggers for the image", builder.ImagePush{Destination: "acme/none", Tag: "v1", Digest: "sha256:one"}, nil,
			"acme/none has no triggers; they are registered by the default branch's file, or stand in the server file", true},
		{"nobody waits for it at another registry", builder.ImagePush{Destination: "10.0.0.1:5000/acme/none", Tag: "v1", Digest: "sha256:one"},
			func(_ context.Context, destination, _ string) (string, error) {
				t.Errorf("%s was asked", destination)
				return "", builder.ErrNotFound
			},
			"10.0.0.1:5000/acme/none has no triggers; they are registered by the default branch's file, or stand in the server file", false},
		{"none is for the tag", builder.ImagePush{Destination: labImage, Tag: "edge", Digest: "sha256:one"}, nil,
			"no trigger of acme/hello is for tag edge", true},
		{"told late", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:old"},
			func(context.Context, string, string) (string, error) { return "sha256:new", nil },
			"this was overtaken: tag v1 names sha256:new by now", false},
		{"gone", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:old"},
			func(context.Context, string, string) (string, error) { return "", builder.ErrNotFound },
			"tag v1 is gone by now: nothing fires", false},
		{"the registry refuses to say", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:old"},
			func(context.Context, string, string) (string, error) {
				return "", &builder.Failure{Stage: builder.StageTag, Message: "no login"}
			},
			"no login", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := l.pushDispatcher()
			d.TagNames = tt.tagNames
			decision := l.tell(ctx, d, tt.name, tt.push)
			got := ""
			switch {
			case decision.Failure != nil:
				got = decision.Failure.Message
			case len(decision.Reasons) == 1:
				got = decision.Reasons[0].Message
			}
			if got != tt.want || len(decision.Pushes) != 0 {
				t.Errorf("decision %+v; want %q", decision, tt.want)
			}
			digest, err := l.store.Pushed(ctx, tt.push.Destination, tt.push.Tag)
			if err != nil || (digest == tt.push.Digest) != tt.known {
				t.Errorf("the tag is known to name %q, %v", digest, err)
			}
		})
	}
}

// A registry that is away for a moment, or tells of a tag before it is there,
// costs nothing but time.
func TestPlainPushWaitsForItsRegistry(t *testing.T) {
	l := newLab(t, store.Options{})
	l.register(t.Context(), labRepo, labImage, triggerFor(t, "prod", "all"))
	for tag, first := range map[string]func() (string, error){
		"away":  func() (string, error) { return "", errors.New("it is away") },
		"early": func() (string, error) { return "sha256:before", nil },
		"new":   func() (string, error) { return "", builder.ErrNotFound },
	} {
		t.Run(tag, func(t *testing.T) {
			d := l.pushDispatcher()
			asked := 0
			d.TagNames = func(context.Context, string, string) (string, error) {
				if asked++; asked == 1 {
					return first()
				}
				return "sha256:one", nil
			}
			decision := l.tell(t.Context(), d, "1", builder.ImagePush{Destination: labImage, Tag: tag, Digest: "sha256:one"})
			if len(decision.Pushes) != 1 {
				t.Errorf("decision %+v", decision)
			}
		})
	}
}

// A push of an image whose source nobody knows stands for itself.
func TestPushEventOfAnUnknownImage(t *testing.T) {
	l := newLab(t, store.Options{})
	for destination, want := range map[string]builder.Repository{
		"registry.example.com/acme/web": {Forge: "registry", ID: "registry.example.com/acme/web", Owner: "registry.example.com/acme", Name: "web"},
		"acme/web":                      {Forge: "registry", ID: "acme/web", Owner: "acme", Name: "web"},
	} {
		e, err := builder.PushEvent(t.Context(), l.store, "9", builder.ImagePush{Destination: destination, Tag: "v1", Digest: "sha256:one"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, e.Repository); diff != "" || e.Repository.FullName() != destination {
			t.Errorf("repository of %s (-want +got):\n%s", destination, diff)
		}
	}
}

// Of all files together ten triggers fire, the holder's first.
func TestPlainPushOfManyTriggers(t *testing.T) {
	l := newLab(t, store.Options{})
	ctx := t.Context()
	var many []config.Trigger
	for _, c := range "abcdefgh" {
		many = append(many, triggerFor(t, "t"+string(c), "all"))
	}
	other := builder.Repository{Forge: "git", ID: "acme/ops", Owner: "acme", Name: "ops"}
	l.register(ctx, other, labImage, many...)
	l.register(ctx, labRepo, labImage, many...)
	decision := l.tell(ctx, l.pushDispatcher(), "1", builder.ImagePush{Destination: labImage, Tag: "v1", Digest: "sha256:one"})
	all := fired(decision)
	if len(all[labRepo.Key()]) != 8 || len(all[other.Key()]) != 2 {
		t.Errorf("fired %v", all)
	}
	if len(decision.Reasons) != 1 || !strings.Contains(decision.Reasons[0].Message, "6 triggers of acme/ops are left out") {
		t.Errorf("reasons %+v", decision.Reasons)
	}
}
