package app

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
)

func TestLinks(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	l := links{secret: []byte("secret"), url: "https://rb.example.com", keep: 31 * 24 * time.Hour, now: func() time.Time { return now }}
	other := links{secret: []byte("other"), url: l.url, keep: l.keep, now: l.now}
	const a, b = "06db3m8e7g0k5rqa", "06db3m8e7g0k5rqb"
	seen := func(link, method, id string) bool {
		r := httptest.NewRequest(method, link, nil)
		r.SetPathValue("id", id)
		return l.maySee(r)
	}
	for name, test := range map[string]struct {
		link, method, id string
		want             bool
	}{
		"its own build":            {l.build(a), "GET", a, true},
		"its own build, retyped":   {l.build(a), "GET", "O6DB3M8E7G0K5RQA", true},
		"another build":            {l.build(a), "GET", b, false},
		"signed by somebody else":  {other.build(a), "GET", a, false},
		"no key":                   {"https://rb.example.com/builds/" + a, "GET", a, false},
		"a page's key":             {l.page("/builds/" + a), "GET", a, false},
		"not to be changed by it":  {l.build(a), "DELETE", a, false},
		"not to be cancelled":      {l.build(a), "POST", a, false},
		"a build that is no build": {l.build(a), "GET", "../" + a, false},
	} {
		if got := seen(test.link, test.method, test.id); got != test.want {
			t.Errorf("%s: may see %t, want %t", name, got, test.want)
		}
	}

	page := httptest.NewRequest("GET", l.page("/github/setup"), nil)
	elsewhere := httptest.NewRequest("GET", "https://rb.example.com/github/other?"+page.URL.RawQuery, nil)
	longer := httptest.NewRequest("GET", "https://rb.example.com/github/setup?key=zzzzzz"+page.URL.Query().Get("key")[6:], nil)
	for name, r := range map[string]*http.Request{"another page": elsewhere, "a later end": longer} {
		if l.mayOpen(r) {
			t.Errorf("%s: the key opens it", name)
		}
	}
	if !l.mayOpen(page) {
		t.Error("the page's own key does not open it")
	}
	now = now.Add(time.Hour)
	if l.mayOpen(page) {
		t.Error("the key opens the page after its hour")
	}

	end := builder.BuildIDTime(a).Add(l.keep)
	for _, test := range []struct {
		at   time.Time
		want bool
	}{{end.Add(-time.Second), true}, {end, false}} {
		now = test.at
		if got := seen(l.build(a), "GET", a); got != test.want {
			t.Errorf("%s before its end: may see %t, want %t", end.Sub(now), got, test.want)
		}
	}
}
