package registry_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/registry"
)

// answers makes a registry answer the writes of tags with these, in turn, and
// then do what it is asked.
func answers(list ...func(http.ResponseWriter)) interceptor {
	left := make(chan func(http.ResponseWriter), len(list))
	for _, answer := range list {
		left <- answer
	}
	close(left)
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if putTag(r) == "" {
			return false
		}
		answer, ok := <-left
		if ok {
			answer(w)
		}
		return ok
	}
}

func later(status int, after string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(status)
	}
}

func inTwentySeconds(w http.ResponseWriter) {
	later(503, time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))(w)
}

func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// waits collects what the client would have waited.
type waits []time.Duration

func (w *waits) wait(_ context.Context, d time.Duration) error {
	*w = append(*w, d)
	return nil
}

func TestRetry(t *testing.T) {
	for name, tc := range map[string]struct {
		answers []func(http.ResponseWriter)
		atLeast []time.Duration // each wait; half a second more is the limit
	}{
		"at once":                    {nil, nil},
		"seconds, then no advice":    {[]func(http.ResponseWriter){later(429, "7"), later(503, "")}, []time.Duration{7 * time.Second, 300 * time.Millisecond}},
		"a date":                     {[]func(http.ResponseWriter){inTwentySeconds}, []time.Duration{18 * time.Second}},
		"a date in the past":         {[]func(http.ResponseWriter){later(503, "Wed, 21 Oct 2015 07:28:00 GMT")}, []time.Duration{100 * time.Millisecond}},
		"advice that makes no sense": {[]func(http.ResponseWriter){later(502, "soon"), later(504, "-5")}, []time.Duration{100 * time.Millisecond, 300 * time.Millisecond}},
		"the connection breaks":      {[]func(http.ResponseWriter){hangUp}, []time.Duration{100 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &front{Handler: distribution(t, true)}
			repo := serve(t, f)
			var w waits
			c := registry.New(registry.Options{Ledger: newLedger(), Wait: w.wait})
			digest := pushImage(t, repo)
			f.on(answers(tc.answers...))
			got, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]builder.TagOutcome{{Tag: "latest", Moved: true}}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.EqualFunc(tc.atLeast, w, func(least, got time.Duration) bool {
				return got >= least && got <= least+2500*time.Millisecond
			}) {
				t.Errorf("waited %v, want about %v", w, tc.atLeast)
			}
		})
	}
}

func TestRetryGivesUp(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter)
		puts   int
		want   string
	}{
		"a registry that refuses for good": {later(503, ""), 8,
			"the registry HOST is not well (status 503) and could not tag acme/hello: try again later"},
		"one that wants more patience than there is": {later(429, "3600"), 1,
			"the registry HOST limits how often it may be asked, and did not let us tag acme/hello: try again later, or log in with an account that has a higher limit"},
		"a wait that adds up": {later(429, "25"), 3,
			"the registry HOST limits how often it may be asked, and did not let us tag acme/hello: try again later, or log in with an account that has a higher limit"},
		"an error that is no delay": {later(500, "1"), 1,
			"the registry HOST is not well (status 500) and could not tag acme/hello: try again later"},
		"seconds beyond counting": {later(429, "18446744073709551615"), 1,
			"the registry HOST limits how often it may be asked, and did not let us tag acme/hello: try again later, or log in with an account that has a higher limit"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &front{Handler: distribution(t, false)}
			repo := serve(t, f)
			l := newLedger()
			var w waits
			c := registry.New(registry.Options{Ledger: l, Wait: w.wait})
			digest := pushImage(t, repo)
			f.written()
			f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if putTag(r) == "" {
					return false
				}
				tc.answer(w)
				return true
			})
			_, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest"))
			if got := sentence(t, err, repo); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if puts := len(f.written()); puts != tc.puts {
				t.Errorf("asked %d times, want %d (waited %v)", puts, tc.puts, w)
			}
			if diff := cmp.Diff(map[string]string{}, l.commits(repo)); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
		})
	}
}

// A cancelled build does not sit out a Retry-After.
func TestCancelEndsTheWait(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodHead {
			return false
		}
		later(429, "30")(w)
		cancel()
		return true
	})
	_, err := registry.New(registry.Options{}).Resolve(ctx, repo+":latest", login(repo))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// sentence is the message of a failure, with HOST for the registry's address.
func sentence(t *testing.T, err error, repo string) string {
	t.Helper()
	var failure *builder.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a failure", err)
	}
	host, _, _ := strings.Cut(repo, "/")
	return strings.ReplaceAll(failure.Message, host, "HOST")
}
