package gitlabtest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

func TestRateLimit(t *testing.T) {
	w := newWorld(t, func(o *gitlabtest.Options) { o.RateLimit = 3 })
	token := w.AddUser("alice")
	for i := 1; i <= 3; i++ {
		code, _, h := w.ask(t, token, "GET", "/user", nil)
		if code != 200 || h.Get("RateLimit-Limit") != "3" || h.Get("RateLimit-Remaining") != strconv.Itoa(3-i) || h.Get("RateLimit-Observed") != strconv.Itoa(i) {
			t.Errorf("%d: %d %v", i, code, h)
		}
	}
	code, body, h := w.ask(t, token, "GET", "/user", nil)
	if code != 429 || body != "Retry later\n" || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %q %v", code, body, h)
	}
	wait := must(strconv.Atoi(h.Get("Retry-After")))(t)
	reset := must(strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64))(t)
	if left := time.Unix(reset, 0).Sub(w.clock.now()); wait < 1 || wait > 61 || left <= 0 || left > time.Minute {
		t.Errorf("Retry-After %d, reset in %s", wait, left)
	}
	if code, _, _ := w.ask(t, w.AddUser("bob"), "GET", "/user", nil); code != 200 {
		t.Errorf("another token: %d", code)
	}
	w.clock.add(time.Duration(wait) * time.Second)
	if code, _, _ := w.ask(t, token, "GET", "/user", nil); code != 200 {
		t.Errorf("after Retry-After: %d", code)
	}
	w.SpendRequests(token, 1)
	for i, want := range []int{200, 429} {
		if code, _, _ := w.ask(t, token, "GET", "/user", nil); code != want {
			t.Errorf("%d: %d, want %d", i, code, want)
		}
	}
	w.SetRateLimit(0)
	if code, _, h := w.ask(t, token, "GET", "/user", nil); code != 200 || h.Get("RateLimit-Limit") != "" {
		t.Errorf("without a limit: %d %v", code, h)
	}
}

func TestNoteLimit(t *testing.T) {
	w := newWorld(t, func(o *gitlabtest.Options) { o.NotesPerMinute = 2 })
	m, _ := w.open(t, gitlabtest.MergeOptions{})
	post := func() (int, any) {
		code, body, _ := w.ask(t, w.AddUser("alice"), "POST", w.path("/merge_requests/%d/notes", m.IID()), fields{"body": "x"})
		return code, body
	}
	for i, want := range []int{201, 201, 429} {
		if code, body := post(); code != want {
			t.Errorf("%d: %d %v", i, code, body)
		} else if want == 429 && message(body) != `{"error":"This endpoint has been requested too many times. Try again later."}` {
			t.Errorf("%v", body)
		}
	}
	w.clock.add(time.Minute)
	if code, body := post(); code != 201 {
		t.Errorf("a minute later: %d %v", code, body)
	}
}

// TestPages: by number with totals, and by key without.
func TestPages(t *testing.T) {
	w := newWorld(t)
	m, _ := w.open(t, gitlabtest.MergeOptions{})
	for i := range 5 {
		must(m.Comment("alice", fmt.Sprint(i)))(t)
	}
	path := w.path("/merge_requests/%d/notes?sort=asc&per_page=2", m.IID())
	var got []string
	for page := "1"; page != ""; {
		code, body, h := w.ask(t, w.AddUser("alice"), "GET", path+"&page="+page, nil)
		if code != 200 || h.Get("X-Total") != "5" || h.Get("X-Total-Pages") != "3" || h.Get("X-Page") != page {
			t.Fatalf("%d %v", code, h)
		}
		for _, one := range body.([]any) {
			got = append(got, one.(fields)["body"].(string))
		}
		if page = h.Get("X-Next-Page"); (page != "") != strings.Contains(h.Get("Link"), `rel="next"`) {
			t.Errorf("%v", h)
		}
	}
	if strings.Join(got, "") != "01234" {
		t.Errorf("%v", got)
	}
	for i := range 3 {
		must(w.AddProject(fmt.Sprintf("acme/p%d", i), gitlabtest.ProjectOptions{Visibility: "public"}))(t)
	}
	next, count := "/projects?pagination=keyset&order_by=id&sort=asc&per_page=3", 0
	for pages := 0; next != ""; pages++ {
		code, body, h := w.ask(t, w.AddUser("alice"), "GET", next, nil)
		if code != 200 || h.Get("X-Total") != "" || h.Get("X-Next-Page") != "" || pages > 3 {
			t.Fatalf("%d %v", code, h)
		}
		count += len(body.([]any))
		link, found := strings.CutSuffix(h.Get("Link"), `>; rel="next"`)
		if next = ""; found {
			next = strings.TrimPrefix(link, "<"+w.API)
		}
	}
	if count != 4 {
		t.Errorf("%d projects by key", count)
	}
}
