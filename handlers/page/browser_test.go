package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/registry-build/registry-build/builder"
)

const retryPath = "/api/v1/builds/" + mine + "/triggers/audit/retry"

// site is the pages with the part of the API that their script calls.
type site struct {
	*httptest.Server
	mu      sync.Mutex
	f       *fake
	asked   []string // "user:password method path" of each request for a retry
	refusal string
}

// change changes what the record holds, between two requests.
func (s *site) change(do func(*fake)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(s.f)
}

func newSite(t *testing.T, f *fake) *site {
	s := &site{f: f}
	mux := http.NewServeMux()
	mux.Handle("/", pages(f, t.Output()))
	mux.HandleFunc("GET /api/v1/builds/{id}/log", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: log\nid: 1\ndata: {\"text\":\"<b>#1 RUN make</b>\\n\"}\n\nevent: end\ndata: {}\n\n")
	})
	mux.HandleFunc("/api/v1/builds/{id}/triggers/{name}/retry", func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok { // as the API does: the browser asks again, with the page's password
			w.Header().Set("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.asked = append(s.asked, fmt.Sprintf("%s:%s %s %s", user, password, r.Method, r.URL.Path))
		if s.refusal != "" {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintf(w, `{"error": %q}`, s.refusal)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		f.runs[0].State, f.runs[0].AskedBy = builder.RunWaiting, "ada"
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// browser is a tab of Chromium.
func browser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; install it with `apt-get install chromium`", err)
	}
	// Its own sandbox needs more rights than a container gives, and all it
	// shows is ours.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox)
	ctx, done := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(done)
	ctx, done = chromedp.NewContext(ctx)
	t.Cleanup(done)
	ctx, done = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(done)
	return ctx
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// until waits until the page makes the expression true.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	ctx, done := context.WithTimeout(ctx, 15*time.Second)
	defer done()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
}

func (s *site) open(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(strings.Replace(s.URL, "://", "://any:ada@", 1)+path))
}

func failedRun(f *fake) {
	f.runs = []builder.TriggerRun{
		{BuildID: mine, Repository: f.records[mine].Repository, Trigger: "audit", State: builder.RunFailed, Error: "answered 503", Answer: hostile},
		{BuildID: mine, Repository: f.records[mine].Repository, Trigger: "chat", State: builder.RunSucceeded, Answer: "ok"},
	}
}

// By keyboard alone: to the button, press it, and see what becomes of it, with
// the answer that was open still open and the keyboard where it was.
func TestRetryInABrowser(t *testing.T) {
	ctx := browser(t)
	for _, path := range []string{"/triggers", "/builds/" + mine} {
		t.Run(path, func(t *testing.T) {
			f := newFake()
			failedRun(f)
			s := newSite(t, f)
			s.open(t, ctx, path)
			until(t, ctx, `document.querySelectorAll("[data-retry] button").length == 2`)
			do(t, ctx, chromedp.Click(chromedp.CSS(`[data-row$="/chat"] summary`)))
			until(t, ctx, `document.querySelector('[data-row$="/chat"] details').open`)
			for range 3 { // back from there, past its row's link
				do(t, ctx, chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
				name, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.ariaLabel ?? ""`))
				if err != nil {
					t.Fatal(err)
				}
				if name == "Retry audit" {
					break
				}
			}
			do(t, ctx, chromedp.KeyEvent(kb.Enter))
			until(t, ctx, `document.querySelector('[data-row$="/audit"] .state').textContent == "waiting"`)
			until(t, ctx, `document.querySelector('[data-row$="/chat"] details').open`)
			until(t, ctx, `document.activeElement.dataset.row == "`+mine+`/audit"`)
			until(t, ctx, `document.querySelectorAll("[data-retry] button").length == 1`)
			s.change(func(f *fake) { f.runs[0].State = builder.RunSucceeded })
			until(t, ctx, `document.querySelector('[data-row$="/audit"] .state').textContent == "succeeded"`)
			s.change(func(*fake) {
				if got := strings.Join(s.asked, "\n"); got != "any:ada POST "+retryPath {
					t.Errorf("asked:\n%s", got)
				}
			})
		})
	}
}

// A retry that is refused says why, in the button's place.
func TestRefusedRetryInABrowser(t *testing.T) {
	ctx := browser(t)
	f := newFake()
	failedRun(f)
	s := newSite(t, f)
	s.refusal = "trigger audit is waiting; <b>not now</b>"
	s.open(t, ctx, "/triggers")
	do(t, ctx, chromedp.Click(chromedp.CSS(`[aria-label="Retry audit"]`)))
	until(t, ctx, `document.querySelector('[data-row$="/audit"] [data-retry]').textContent == "trigger audit is waiting; <b>not now</b>"`)
}

// The narrowest telephone shows all of it without scrolling aside, and nothing
// that people wrote runs.
func TestNarrowInABrowser(t *testing.T) {
	ctx := browser(t)
	f := newFake()
	failedRun(f)
	long := strings.Repeat("long-", 60)
	r := f.records[mine]
	r.Image, r.Ref, r.Actor, r.Destination = long, "refs/heads/"+long, hostile, long
	r.Tags, r.Warnings = []string{long}, []string{hostile, long}
	f.records[mine] = r
	f.runs[0].Trigger, f.runs[0].Action, f.runs[0].Error = long[:64], "webhook https://"+long, strings.Repeat("x", 1024)
	f.runs[1].Answer = strings.Repeat("y", 4096)
	s := newSite(t, f)
	for _, width := range []int64{320, 400, 1200} {
		do(t, ctx, chromedp.EmulateViewport(width, 800))
		for _, path := range []string{"/", "/triggers", "/builds/" + mine} {
			s.open(t, ctx, path)
			if path != "/" {
				do(t, ctx, chromedp.Click(chromedp.CSS(`[data-row$="/chat"] summary`)))
			}
			got, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
			if err != nil {
				t.Fatal(err)
			}
			if got > width {
				t.Errorf("%s is %d wide where there are %d", path, got, width)
			}
		}
		until(t, ctx, `document.getElementById("log").textContent.includes("<b>#1 RUN make</b>")`)
	}
}
