package gitlab

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// tripper is a server that answers from a function.
type tripper func(req *http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// says makes an answer; the headers are "Name: value".
func says(status int, body string, headers ...string) (*http.Response, error) {
	h := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	return &http.Response{StatusCode: status, Status: strconv.Itoa(status), Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// wiredTo is a wire to a server that answers from a function, told the number
// of the request from 0, and counts what goes over it.
func wiredTo(host string, answer func(n int, req *http.Request) (*http.Response, error)) (*wire, *atomic.Int64) {
	var sent atomic.Int64
	server := &url.URL{Scheme: "https", Host: host, Path: apiPath}
	return &wire{
		base:   tripper(func(req *http.Request) (*http.Response, error) { return answer(int(sent.Add(1)-1), req) }),
		server: server, token: "glpat-secret", limits: newLimits(time.Now, budgetOf(server)), most: largestRead, first: firstWait,
	}, &sent
}

const (
	own       = "gitlab.example.com"
	statusAPI = "projects/7/statuses/" + anyCommit
	notesAPI  = "projects/7/merge_requests/3/notes"
)

// sendBy makes a request and returns the answer's status, and how long to wait
// where it was a builder.Later.
func sendBy(ctx context.Context, t *testing.T, w *wire, method, path string) (status int, wait time.Duration, err error) {
	t.Helper()
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, method, w.server.String()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.RoundTrip(req)
	var later builder.Later
	if errors.As(err, &later) {
		return 0, later.Wait, err
	}
	if err != nil {
		return 0, 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, 0, nil
}

func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func TestServersLimits(t *testing.T) {
	const retryLater = "Retry later\n"
	for _, test := range []struct {
		name   string
		answer func() (*http.Response, error)
		wait   time.Duration // until which nothing is sent; 0: it is no limit
	}{
		{"Retry-After", func() (*http.Response, error) { return says(429, retryLater, "Retry-After: 37") }, 37 * time.Second},
		{"Retry-After as a date", func() (*http.Response, error) {
			return says(429, "", "Retry-After: "+time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))
		}, 30 * time.Second},
		{"all of GitLab's headers", func() (*http.Response, error) {
			return says(429, retryLater, "RateLimit-Limit: 2000", "RateLimit-Observed: 2001", "RateLimit-Remaining: 0",
				"RateLimit-Reset: "+seconds(time.Now().Add(20*time.Second)), "Retry-After: 20")
		}, 20*time.Second + quota.Slack},
		{"no Retry-After", func() (*http.Response, error) {
			return says(429, retryLater, "RateLimit-Remaining: 0", "RateLimit-Reset: "+seconds(time.Now().Add(20*time.Second)))
		}, 20*time.Second + quota.Slack},
		{"a date in the old header", func() (*http.Response, error) {
			return says(429, retryLater, "RateLimit-Remaining: 0", "RateLimit-ResetTime: "+time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
		}, 20*time.Second + quota.Slack},
		{"a server whose clock is wrong", func() (*http.Response, error) {
			there := time.Now().Add(-3 * time.Hour)
			return says(200, "{}", "RateLimit-Limit: 600", "RateLimit-Remaining: 0",
				"Date: "+there.UTC().Format(http.TimeFormat), "RateLimit-Reset: "+seconds(there.Add(40*time.Second)))
		}, 40*time.Second + quota.Slack},
		{"a wait of a day", func() (*http.Response, error) { return says(429, "", "Retry-After: 86400") }, waitAtMost},
		{"maintenance", func() (*http.Response, error) { return says(503, "", "Retry-After: 60") }, time.Minute},
		{"what stands before gitlab.com", func() (*http.Response, error) { return says(403, "<html>", "Retry-After: 60") }, time.Minute},
		{"not allowed, as the last request of the minute", func() (*http.Response, error) {
			return says(403, `{"message":"403 Forbidden"}`, "RateLimit-Remaining: 1", "RateLimit-Reset: "+seconds(time.Now().Add(time.Minute)))
		}, 0},
		{"not allowed", func() (*http.Response, error) { return says(403, `{"message":"403 Forbidden"}`) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sent := wiredTo(own, func(n int, _ *http.Request) (*http.Response, error) {
					if n == 0 {
						return test.answer()
					}
					return says(200, `{}`)
				})
				sendBy(t.Context(), t, w, http.MethodPost, statusAPI)
				if test.wait == 0 {
					if status, wait, err := sendBy(t.Context(), t, w, http.MethodGet, "user"); status != 200 {
						t.Errorf("the next one: %d, %s, %v; want 200", status, wait, err)
					}
					return
				}
				for _, ctx := range []context.Context{t.Context(), quota.Urgent(t.Context())} {
					_, wait, err := sendBy(ctx, t, w, http.MethodGet, "user")
					if wait < test.wait-quota.Slack || wait > test.wait || sent.Load() != 1 {
						t.Errorf("the next one: %v after %d requests; want builder.Later in %s after 1", err, sent.Load(), test.wait)
					}
				}
				time.Sleep(test.wait) // synctest's clock
				if status, _, err := sendBy(t.Context(), t, w, http.MethodGet, "user"); status != 200 {
					t.Errorf("after the wait: %d, %v; want 200", status, err)
				}
			})
		})
	}
}

// GitLab limits notes, test deliveries and others apart, and names no time.
func TestLimitOfOneEndpoint(t *testing.T) {
	const said = `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(n int, req *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/statuses/"+anyCommit), req.Method == http.MethodGet:
				return says(200, `{}`)
			case n > 20:
				return says(201, `{}`)
			case n == 20:
				return says(429, said, "Retry-After: 60")
			}
			return says(429, said)
		})
		var later builder.Later
		for _, want := range []time.Duration{1, 2, 4, 8, 15, 15} {
			_, wait, err := sendBy(t.Context(), t, w, http.MethodPost, notesAPI)
			if wait != want*time.Minute || !errors.As(err, &later) || !strings.Contains(later.Reason, "POST projects/*/merge_requests/*/notes") {
				t.Errorf("%v; want %s, for notes", err, want*time.Minute)
			}
			if _, wait, _ := sendBy(t.Context(), t, w, http.MethodPost, "projects/8/merge_requests/5/notes"); wait <= 0 {
				t.Error("another project's note was sent")
			}
			for method, path := range map[string]string{http.MethodPost: statusAPI, http.MethodGet: notesAPI} {
				if status, _, err := sendBy(t.Context(), t, w, method, path); status != 200 {
					t.Errorf("%s %s: %v; want that it has a limit of its own", method, path, err)
				}
			}
			time.Sleep(wait) // synctest's clock
		}
		for n := int64(0); n < 2; n++ { // to the 20th request
			sendBy(t.Context(), t, w, http.MethodPost, statusAPI)
		}
		if _, wait, err := sendBy(t.Context(), t, w, http.MethodPost, notesAPI); wait != time.Minute {
			t.Errorf("with Retry-After: %v; want a minute", err)
		}
		if status, _, err := sendBy(t.Context(), t, w, http.MethodPost, statusAPI); status != 200 {
			t.Errorf("a status beside: %v", err)
		}
		time.Sleep(time.Minute) // synctest's clock
		if status, _, err := sendBy(t.Context(), t, w, http.MethodPost, notesAPI); status != 201 {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// An answer that was on its way when a limit was met does not end it.
func TestLimitOutlivesOlderAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(n int, _ *http.Request) (*http.Response, error) {
			if n == 0 {
				time.Sleep(5 * time.Second) // synctest's clock
				return says(201, `{}`)
			}
			return says(429, `{"message":{"error":"This endpoint has been requested too many times."}}`)
		})
		var slow sync.WaitGroup
		slow.Go(func() { sendBy(t.Context(), t, w, http.MethodPost, notesAPI) })
		synctest.Wait()
		sendBy(t.Context(), t, w, http.MethodPost, notesAPI)
		slow.Wait()
		if _, wait, err := sendBy(t.Context(), t, w, http.MethodPost, notesAPI); wait != 55*time.Second {
			t.Errorf("got %v; want the rest of the minute", err)
		}
	})
}

// A short wait is waited, also by writes: nothing was done yet.
func TestShortWaitIsWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sent := wiredTo(own, func(n int, req *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(req.Body)
			if string(body) != "{}" || req.ContentLength != 2 {
				t.Errorf("request %d has the body %q", n, body)
			}
			if n == 0 {
				return says(429, "", "Retry-After: 1")
			}
			return says(201, `{}`)
		})
		began := time.Now()
		status, _, err := sendBy(t.Context(), t, w, http.MethodPost, notesAPI)
		if status != 201 || sent.Load() != 2 || time.Since(began) != time.Second {
			t.Errorf("%d, %v after %d requests and %s; want 201 after 2 and a second", status, err, sent.Load(), time.Since(began))
		}
	})
}

// spend makes requests until there is no room, and returns how many.
func spend(ctx context.Context, t *testing.T, w *wire, method, path string, most int) (n int) {
	t.Helper()
	for ; n < most; n++ {
		if _, wait, err := sendBy(ctx, t, w, method, path); wait > 0 {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestBudgetOfGitLabCom(t *testing.T) {
	ok := func(int, *http.Request) (*http.Response, error) { return says(200, `{}`) }
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo("gitlab.com", ok)
		b := budgetOf(w.server)
		if n := spend(t.Context(), t, w, http.MethodPost, notesAPI, 100); n != b.notes-b.notesReserve {
			t.Errorf("%d notes; want %d", n, b.notes-b.notesReserve)
		}
		if n := spend(quota.Urgent(t.Context()), t, w, http.MethodPost, "projects/7/repository/commits/"+anyCommit+"/discussions", 100); n != b.notesReserve {
			t.Errorf("%d urgent notes beside; want %d", n, b.notesReserve)
		}
		if n := spend(t.Context(), t, w, http.MethodPost, statusAPI, 5000); n != b.calls-b.callsReserve-b.notes {
			t.Errorf("%d statuses beside; want %d", n, b.calls-b.callsReserve-b.notes)
		}
		if n := spend(quota.Urgent(t.Context()), t, w, http.MethodPost, statusAPI, 5000); n != b.callsReserve {
			t.Errorf("%d urgent statuses beside; want %d", n, b.callsReserve)
		}
		time.Sleep(time.Minute + quota.Slack) // synctest's clock
		if n := spend(t.Context(), t, w, http.MethodPost, notesAPI, 100); n != b.notes-b.notesReserve {
			t.Errorf("%d notes a minute later; want %d", n, b.notes-b.notesReserve)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo("gitlab.com", ok)
		b := budgetOf(w.server)
		if n := spend(quota.InBackground(t.Context()), t, w, http.MethodGet, notesAPI, 5000); n != b.calls-b.calls/lookShare {
			t.Errorf("%d looks for what was missed; want %d", n, b.calls-b.calls/lookShare)
		}
		if n := spend(t.Context(), t, w, http.MethodPost, statusAPI, 5000); n != b.calls/lookShare-b.callsReserve {
			t.Errorf("%d statuses beside; want %d", n, b.calls/lookShare-b.callsReserve)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, ok)
		if n := spend(t.Context(), t, w, http.MethodPost, notesAPI, 3000); n != 3000 {
			t.Errorf("another server got %d; want all", n)
		}
	})
}

// What is left of the server's limit is kept for how builds ended.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(int, *http.Request) (*http.Response, error) {
			return says(200, `{}`, "RateLimit-Limit: 600", "RateLimit-Remaining: 30", "RateLimit-Reset: "+seconds(time.Now().Add(20*time.Second)))
		})
		sendBy(t.Context(), t, w, http.MethodGet, "user")
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			if _, wait, err := sendBy(t.Context(), t, w, method, statusAPI); wait < 20*time.Second {
				t.Errorf("an ordinary %s: %v; want builder.Later", method, err)
			}
		}
		if status, _, err := sendBy(quota.Urgent(t.Context()), t, w, http.MethodPost, statusAPI); status != 200 {
			t.Errorf("an urgent one: %v", err)
		}
	})
}

// Looks for what was missed leave half of it.
func TestReserveOfBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(int, *http.Request) (*http.Response, error) {
			return says(200, `{}`, "RateLimit-Limit: 600", "RateLimit-Remaining: 300", "RateLimit-Reset: "+seconds(time.Now().Add(20*time.Second)))
		})
		sendBy(t.Context(), t, w, http.MethodGet, "user")
		if _, wait, err := sendBy(quota.InBackground(t.Context()), t, w, http.MethodGet, statusAPI); wait < 20*time.Second {
			t.Errorf("a look: %v; want builder.Later", err)
		}
		if status, _, err := sendBy(t.Context(), t, w, http.MethodPost, statusAPI); status != 200 {
			t.Errorf("a status: %v", err)
		}
	})
}

func TestRequestsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at, most atomic.Int64
		w, sent := wiredTo(own, func(int, *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Second) // synctest's clock
			at.Add(-1)
			return says(200, `{}`)
		})
		var all sync.WaitGroup
		for range 3 * requestsAtOnce {
			all.Go(func() { sendBy(t.Context(), t, w, http.MethodGet, "user") })
		}
		all.Wait()
		if most.Load() != requestsAtOnce || sent.Load() != 3*requestsAtOnce {
			t.Errorf("%d at once, %d in all; want %d, %d", most.Load(), sent.Load(), requestsAtOnce, 3*requestsAtOnce)
		}
		if len(w.limits.slots) != 0 || w.limits.flying != 0 {
			t.Errorf("still booked: %d, %d", len(w.limits.slots), w.limits.flying)
		}
	})
}

// How a build ended does not wait behind calls that hang.
func TestUrgentGoesAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(_ int, req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodGet {
				time.Sleep(20 * time.Second) // synctest's clock
			}
			return says(200, `{}`)
		})
		var all sync.WaitGroup
		for range 2 * requestsAtOnce {
			all.Go(func() { sendBy(t.Context(), t, w, http.MethodGet, "user") })
		}
		synctest.Wait()
		began := time.Now()
		for range 2 * urgentAtOnce {
			if status, _, err := sendBy(quota.Urgent(t.Context()), t, w, http.MethodPost, statusAPI); status != 200 {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("took %s", took)
		}
		all.Wait()
		if len(w.limits.slots) != 0 || len(w.limits.aside) != 0 || w.limits.flying != 0 {
			t.Errorf("still booked: %d, %d, %d", len(w.limits.slots), len(w.limits.aside), w.limits.flying)
		}
	})
}
