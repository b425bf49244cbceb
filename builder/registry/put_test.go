package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/registry"
)

func TestPut(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			f := &front{Handler: open(t)}
			repo := serve(t, f)
			l := newLedger()
			c := registry.New(registry.Options{Ledger: l})
			first, second := pushImage(t, repo), pushImage(t, repo)
			f.written()

			steps := []struct {
				name   string
				digest string
				at     builder.Position
				tags   []string
				want   []builder.TagOutcome
				puts   []string
			}{
				{"new tags, in the order asked", first, at("a", 1), []string{"main", "latest", "main"},
					[]builder.TagOutcome{{Tag: "main", Moved: true}, {Tag: "latest", Moved: true}, {Tag: "main", Moved: true}},
					[]string{"latest", "main"}},
				{"the same build again, after a crash, writes nothing and tells what it did", first, at("a", 1), []string{"main"},
					[]builder.TagOutcome{{Tag: "main", Moved: true, Previous: first}}, nil},
				{"the same again by another build", first, at("a", 2), []string{"main"},
					[]builder.TagOutcome{{Tag: "main", Previous: first}}, nil},
				{"… and after a crash", first, at("a", 2), []string{"main"},
					[]builder.TagOutcome{{Tag: "main", Previous: first}}, nil},
				{"forward", second, at("b", 3), []string{"main"},
					[]builder.TagOutcome{{Tag: "main", Moved: true, Previous: first}}, []string{"main"}},
				{"the same digest, further on, moves the position", second, at("c", 4), []string{"main"},
					[]builder.TagOutcome{{Tag: "main", Previous: second}}, nil},
				{"back is held, a new tag is not", first, at("b", 5), []string{"main", "b"},
					[]builder.TagOutcome{{Tag: "main", Previous: second, HeldBy: "c"}, {Tag: "b", Moved: true}}, []string{"b"}},
				{"no tags", first, at("b", 5), nil, nil, nil},
			}
			for _, step := range steps {
				got, err := c.Put(t.Context(), request(repo, step.digest, step.at, step.tags...))
				if err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				if diff := cmp.Diff(step.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step.name, diff)
				}
				puts := f.written()
				slices.Sort(puts)
				if diff := cmp.Diff(step.puts, puts); diff != "" {
					t.Errorf("%s: written (-want +got):\n%s", step.name, diff)
				}
			}
			if diff := cmp.Diff(map[string]string{"main": second, "latest": first, "b": first}, tagsOf(t, repo)); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"main": "c", "latest": "a", "b": "b"}, l.commits(repo)); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
			if len(l.held) > 0 {
				t.Errorf("leases are left: %v", l.held)
			}
		})
	}
}

// A tag that was put and set nothing off is news to the first that does.
func TestQuietTags(t *testing.T) {
	repo := serve(t, distribution(t, false))
	c := registry.New(registry.Options{Ledger: newLedger()})
	image := pushImage(t, repo)
	for i, step := range []struct {
		name         string
		quiet, moved bool
	}{
		{"quietly", true, true}, {"quietly again", true, false}, {"aloud", false, true}, {"aloud again", false, false},
		{"quietly takes nothing back", true, false}, {"it was told", false, false},
	} {
		r := request(repo, image, at("a", int64(i+1)), "latest")
		if step.quiet {
			r.Quiet = []string{"latest"}
		}
		got, err := c.Put(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Moved != step.moved {
			t.Errorf("%s: %+v; want moved %t", step.name, got, step.moved)
		}
	}
}

func TestGuard(t *testing.T) {
	elsewhere := func(commit string, seq int64) builder.Position {
		p := at(commit, seq)
		p.Ref = "refs/heads/release"
		return p
	}
	forced := at("a", 9)
	forced.Generation = 1
	upload := builder.Position{Seq: 7}
	for name, tc := range map[string]struct {
		stands, next builder.Position
		held         string
	}{
		"forward":                              {at("a", 1), at("b", 2), ""},
		"the same commit again":                {at("b", 1), at("b", 2), ""},
		"an ancestor, later":                   {at("b", 1), at("a", 2), "b"},
		"another ref, later":                   {at("b", 1), elsewhere("a", 2), ""},
		"another ref, earlier":                 {at("b", 2), elsewhere("c", 1), "b"},
		"forced back":                          {at("b", 1), forced, ""},
		"before the force push":                {forced, at("c", 10), "a"},
		"a position without a commit is named": {upload, at("a", 1), "upload"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := serve(t, distribution(t, false))
			c := registry.New(registry.Options{Ledger: newLedger()})
			first, second := pushImage(t, repo), pushImage(t, repo)
			if _, err := c.Put(t.Context(), request(repo, first, tc.stands, "latest")); err != nil {
				t.Fatal(err)
			}
			got, err := c.Put(t.Context(), request(repo, second, tc.next, "latest"))
			if err != nil {
				t.Fatal(err)
			}
			want := []builder.TagOutcome{{Tag: "latest", Previous: first, HeldBy: tc.held, Moved: tc.held == ""}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeletedTagLosesItsPosition(t *testing.T) {
	repo := serve(t, distribution(t, false))
	c := registry.New(registry.Options{Ledger: newLedger()})
	first, second := pushImage(t, repo), pushImage(t, repo)
	if _, err := c.Put(t.Context(), request(repo, second, at("b", 2), "latest")); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(repo + ":latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(tag); err != nil {
		t.Fatal(err)
	}
	got, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]builder.TagOutcome{{Tag: "latest", Moved: true}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPutWithoutLedger(t *testing.T) {
	repo := serve(t, distribution(t, false))
	c := registry.New(registry.Options{})
	digest := pushImage(t, repo)
	got, err := c.Put(t.Context(), builder.TagRequest{Repository: repo, Digest: digest, Tags: []string{"latest"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]builder.TagOutcome{{Tag: "latest", Moved: true}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPutRefusesBadRequests(t *testing.T) {
	repo := "registry.example.com/acme/hello"
	digest := "sha256:" + strings.Repeat("a", 64)
	for name, tc := range map[string]struct {
		request builder.TagRequest
		want    string
	}{
		"no host": {request("acme/hello", digest, at("a", 1), "x"),
			`"acme/hello" is not the name of an image repository: write registry/owner/name, in lower case`},
		"upper case": {request("registry.example.com/Acme/hello", digest, at("a", 1), "x"),
			`"registry.example.com/Acme/hello" is not the name of an image repository: write registry/owner/name, in lower case`},
		"tag with a slash": {request(repo, digest, at("a", 1), "ok", "feature/x"),
			`"feature/x" cannot be a tag: letters, digits, _, . and -, at most 128 characters, neither . nor - first`},
		"empty tag": {request(repo, digest, at("a", 1), ""),
			`"" cannot be a tag: letters, digits, _, . and -, at most 128 characters, neither . nor - first`},
		"tag that begins with a dash": {request(repo, digest, at("a", 1), "-x"),
			`"-x" cannot be a tag: letters, digits, _, . and -, at most 128 characters, neither . nor - first`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := registry.New(registry.Options{}).Put(t.Context(), tc.request)
			var failure *builder.Failure
			if !errors.As(err, &failure) || failure.Message != tc.want || failure.Stage != builder.StageTag {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
}

// Nothing may be written by who has lost the right to, or for a digest that
// is not there.
func TestPutWritesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(r *builder.TagRequest, l *ledger)
		want   error
	}{
		"the digest is not there": {func(r *builder.TagRequest, _ *ledger) {
			r.Digest = "sha256:" + strings.Repeat("a", 64)
		}, builder.ErrNotFound},
		"the build's lease is lost": {func(r *builder.TagRequest, _ *ledger) {
			r.Fence = func(context.Context) error { return builder.ErrLeaseLost }
		}, builder.ErrLeaseLost},
		"the repository's lease is lost": {func(r *builder.TagRequest, l *ledger) {
			r.Fence = func(context.Context) error { l.takeOver(r.Repository); return nil }
		}, builder.ErrLeaseLost},
		"history cannot be read": {func(r *builder.TagRequest, _ *ledger) {
			r.Descends = func(context.Context, string, string) (bool, error) { return false, errUnreadable }
		}, errUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			f := &front{Handler: distribution(t, true)}
			repo := serve(t, f)
			l := newLedger()
			c := registry.New(registry.Options{Ledger: l})
			first, second := pushImage(t, repo), pushImage(t, repo)
			if _, err := c.Put(t.Context(), request(repo, first, at("a", 1), "latest")); err != nil {
				t.Fatal(err)
			}
			f.written()
			r := request(repo, second, at("b", 2), "latest", "new")
			tc.change(&r, l)
			if _, err := c.Put(t.Context(), r); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if puts := f.written(); len(puts) > 0 {
				t.Errorf("wrote %v", puts)
			}
			if diff := cmp.Diff(map[string]string{"latest": "a"}, l.commits(repo)); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
			if l.unlocked != 2 {
				t.Errorf("gave back %d leases of 2", l.unlocked)
			}
		})
	}
}

var errUnreadable = errors.New("git is not well")

// Two builds that end together: whoever comes second waits, and in whichever
// order they come, the later position has all tags.
func TestPutsDoNotInterleave(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	l := newLedger()
	c := registry.New(registry.Options{Ledger: l})
	tags := []string{"t1", "t2", "t3", "t4", "t5"}
	var digests []string
	for range 4 {
		digests = append(digests, pushImage(t, repo))
	}
	for round := range 5 {
		f.written()
		var g errgroup.Group
		for i, digest := range digests {
			g.Go(func() error {
				seq := int64(round*len(digests) + i + 1)
				_, err := c.Put(t.Context(), request(repo, digest, at(fmt.Sprintf("%03d", seq), seq), tags...))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		// A Put writes all five or none, so every run of five is a whole set.
		puts := f.written()
		for set := range slices.Chunk(puts, len(tags)) {
			if slices.Sort(set); !slices.Equal(set, tags) {
				t.Fatalf("writes of two puts are mixed: %v", puts)
			}
		}
		for tag, digest := range tagsOf(t, repo) {
			if digest != digests[len(digests)-1] {
				t.Errorf("round %d: %s is not at the latest position", round, tag)
			}
		}
	}
}

// While a slow registry is written to, the lease is extended.
func TestLeaseIsExtended(t *testing.T) {
	l := newLedger()
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	c := registry.New(registry.Options{Ledger: l, RenewEvery: 1e6})
	digest := pushImage(t, repo)
	f.on(func(w http.ResponseWriter, r *http.Request, registry http.Handler) bool {
		if putTag(r) != "" {
			l.await(t, func() bool { return l.extended >= 3 })
		}
		return false
	})
	if _, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
}
