package github

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// setupRig is the setup's pages beside a GitHub of their own.
type setupRig struct {
	*Setup
	t      *testing.T
	gh     *githubtest.Server
	kept   *keptApp
	memory *fleeting
	log    *strings.Builder
	shut   bool // nobody may open the page
}

func newSetupRig(t *testing.T) *setupRig {
	t.Helper()
	r := &setupRig{t: t, gh: githubtest.New(t), kept: &keptApp{}, memory: &fleeting{facts: map[string]fleetingFact{}}, log: &strings.Builder{}}
	a := New(Options{
		Identities: r.kept, Memory: r.memory, Config: config.GitHub{API: r.gh.API, URL: r.gh.URL},
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	r.Setup = &Setup{App: a, Manifest: ourManifest(t), Keep: r.kept.keep, MayOpen: func(*http.Request) bool { return !r.shut }}
	mux := http.NewServeMux()
	mux.Handle("/github/", r.Routes())
	mux.HandleFunc("POST /hooks/github", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	ours := httptest.NewServer(mux)
	t.Cleanup(ours.Close)
	r.URL = func() string { return ours.URL }
	return r
}

func ourManifest(t *testing.T) Manifest {
	t.Helper()
	text, err := os.ReadFile("../../../manifests/github-app.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shown is a page as a browser has it at last.
type shown struct {
	t      *testing.T
	status int
	url    *url.URL
	header http.Header
	text   string // as it was sent
	root   *html.Node
}

// open asks for a page, whole or below ours, and follows redirects.
func (r *setupRig) open(address string) shown {
	r.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = r.URL() + address
	}
	resp, err := http.Get(address)
	return r.shown(resp, err)
}

// press sends the form with the button of that text.
func (r *setupRig) press(p shown, button string) shown {
	r.t.Helper()
	form := p.form(button)
	values := url.Values{}
	for input := range form.Descendants() {
		if input.Data == "input" && attribute(input, "name") != "" {
			values.Set(attribute(input, "name"), attribute(input, "value"))
		}
	}
	to, err := p.url.Parse(attribute(form, "action"))
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(p.header.Get("Content-Security-Policy"), "form-action 'self' "+to.Scheme+"://"+to.Host) && to.Host != p.url.Host {
		r.t.Errorf("the page's policy does not let a browser send the form to %s", to.Host)
	}
	resp, err := http.PostForm(to.String(), values)
	return r.shown(resp, err)
}

func (r *setupRig) shown(resp *http.Response, err error) shown {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	return shown{t: r.t, status: resp.StatusCode, url: resp.Request.URL, header: resp.Header, text: string(body), root: root}
}

// says fails unless the page has the status and holds the texts, as a person
// reads them.
func (p shown) says(status int, texts ...string) {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("%s answered %d, want %d:\n%s", p.url.Path, p.status, status, p.text)
	}
	read := textOf(p.root)
	for _, text := range texts {
		if !strings.Contains(read, text) {
			p.t.Errorf("%s does not say %q:\n%s", p.url.Path, text, read)
		}
	}
}

func (p shown) silentOn(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if strings.Contains(p.text, text) {
			p.t.Errorf("%s shows %q:\n%s", p.url.Path, text, p.text)
		}
	}
}

// form is the one whose button has a text that begins so.
func (p shown) form(button string) *html.Node {
	p.t.Helper()
	for n := range p.root.Descendants() {
		if n.Data != "form" {
			continue
		}
		for b := range n.Descendants() {
			if b.Data == "button" && strings.HasPrefix(textOf(b), button) {
				return n
			}
		}
	}
	p.t.Fatalf("%s has no button %q:\n%s", p.url.Path, button, p.text)
	return nil
}

// links are the addresses of links by what they are called.
func (p shown) links() map[string]string {
	all := map[string]string{}
	for n := range p.root.Descendants() {
		if n.Data == "a" {
			all[textOf(n)] = attribute(n, "href")
		}
	}
	return all
}

func textOf(n *html.Node) string {
	var text strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// keptApp keeps an app as the encrypted store does.
type keptApp struct {
	mu     sync.Mutex
	id     Identity
	broken error
}

func (k *keptApp) Identity(context.Context) (Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.id.ID == 0 {
		return Identity{}, builder.ErrNotFound
	}
	return k.id, nil
}

func (k *keptApp) keep(_ context.Context, id Identity) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return k.broken
	}
	k.id = id
	return nil
}

// fleeting is a Memory whose facts end.
type fleeting struct {
	mu    sync.Mutex
	facts map[string]fleetingFact
	ahead time.Duration // of the real clock
	err   error
}

type fleetingFact struct {
	value string
	until time.Time
}

func (f *fleeting) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead += d
}

func (f *fleeting) now() time.Time { return time.Now().Add(f.ahead) }

func (f *fleeting) Recall(_ context.Context, key string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fact := f.facts[key]; f.now().Before(fact.until) {
		return fact.value, f.err
	}
	return "", f.err
}

func (f *fleeting) Remember(_ context.Context, key, value string, keep time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.facts[key] = fleetingFact{value, f.now().Add(keep)}
	return f.err
}

func (f *fleeting) Claim(_ context.Context, key, value string, keep time.Duration) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fact := f.facts[key]; f.now().Before(fact.until) {
		return false, f.err
	}
	f.facts[key] = fleetingFact{value, f.now().Add(keep)}
	return true, f.err
}
