package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The pages' paths. GitHub sends people to the last two.
const (
	PathSetup     = "/github/setup"
	pathCreated   = "/github/created"
	pathInstalled = "/github/installed"
)

// stateKeeps is how long GitHub lets a person take to create the app.
const stateKeeps = time.Hour

// Setup is the pages on which an operator creates the app and people see what
// an installation brought.
type Setup struct {
	App      *App
	Manifest Manifest
	// Keep stores the app that was created, so that a restart finds it.
	Keep func(ctx context.Context, id Identity) error
	// MayOpen reports whether the request comes from the operator.
	MayOpen func(r *http.Request) bool
	URL     func() string // ours, as people and GitHub reach us
}

//go:embed setup.html
var setupFiles embed.FS

var setupPages = template.Must(template.ParseFS(setupFiles, "setup.html"))

// Routes serves the pages.
func (s *Setup) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathSetup, s.setup)
	mux.HandleFunc("GET "+pathCreated, s.created)
	mux.HandleFunc("GET "+pathInstalled, s.installed)
	mux.HandleFunc("GET /github/", func(w http.ResponseWriter, _ *http.Request) {
		s.say(w, http.StatusNotFound, "No such page", "The GitHub App is created at "+PathSetup+".")
	})
	return mux
}

var organizationName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$`)

// setup offers the button that creates the app, or shows the one that is there.
func (s *Setup) setup(w http.ResponseWriter, r *http.Request) {
	if !s.MayOpen(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
		s.say(w, http.StatusUnauthorized, "A token is needed",
			"Any user name, and the operator's token as the password; or the link that `registry-build github setup` prints.")
		return
	}
	id, there, err := s.App.exists(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if there {
		s.write(w, http.StatusOK, "exists", s.existing(id))
		return
	}
	organization := r.URL.Query().Get("organization")
	if organization != "" && !organizationName.MatchString(organization) {
		s.say(w, http.StatusBadRequest, "No such organization", fmt.Sprintf("%q cannot be an organization's name at GitHub; go back and write it as it stands in its address.", organization))
		return
	}
	state := strings.ToLower(rand.Text())
	if err := s.App.Memory.Remember(r.Context(), "setup/"+state, "open", stateKeeps); err != nil {
		s.fail(w, r, err)
		return
	}
	manifest, err := s.Manifest.filled(s.URL(), "registry-build-"+state[:4], s.App.Config)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	action := s.App.Config.URL + "/settings/apps/new"
	if organization != "" {
		action = s.App.Config.URL + "/organizations/" + organization + "/settings/apps/new"
	}
	s.write(w, http.StatusOK, "setup", map[string]any{
		"GitHub": s.App.Config.URL, "Unreachable": s.App.Reachable(s.URL()), "Key": r.URL.Query().Get("key"), "Organization": organization,
		"Action": action + "?state=" + state, "Manifest": manifest,
		"Reasons": s.Manifest.reasons(s.App.Config), "Hook": s.URL() + "/hooks/" + Instance,
	})
}

func (s *Setup) existing(id Identity) map[string]any {
	data := map[string]any{"ID": id.ID, "Slug": id.Slug, "Settings": "", "Install": ""}
	if id.Slug != "" {
		data["Settings"] = s.App.Config.URL + "/apps/" + id.Slug
		data["Install"] = s.App.Config.URL + "/apps/" + id.Slug + "/installations/new"
	}
	return data
}

// created is where GitHub sends the operator with the code of the new app.
// The state shows that they come from our page; it goes with the first code
// that came with it, so that the page may be loaded again when GitHub or our
// store was away, and the code itself is good once.
func (s *Setup) created(w http.ResponseWriter, r *http.Request) {
	state, code := r.URL.Query().Get("state"), r.URL.Query().Get("code")
	ours, err := s.comesBack(r.Context(), state, code)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !ours {
		s.say(w, http.StatusForbidden, "This link is not good any more", "GitHub leads here once, within an hour of pressing the button. Begin again with `registry-build github setup`, which also tells whether there is an app already.")
		return
	}
	id, there, err := s.App.exists(r.Context())
	if err == nil && !there {
		if id, err = s.App.Create(r.Context(), code); err == nil {
			err = s.Keep(r.Context(), id)
		}
	}
	if refusedWith(err, http.StatusNotFound) { // the same page, loaded twice at once
		if known, now, _ := s.App.exists(r.Context()); now {
			id, there, err = known, true, nil
		}
	}
	switch {
	case err == nil && there: // the page was loaded again
		s.write(w, http.StatusOK, "exists", s.existing(id))
	case err == nil:
		s.App.Log.Info("GitHub App created", "app", id.ID, "slug", id.Slug)
		s.write(w, http.StatusOK, "exists", s.existing(id))
	case refusedWith(err, http.StatusNotFound, http.StatusUnprocessableEntity):
		s.App.Log.Info("github setup", "err", err)
		s.say(w, http.StatusForbidden, "GitHub does not know this code", "It is good once and for an hour. Begin again with `registry-build github setup`; an app that GitHub made meanwhile is removed at "+s.App.Config.URL+"/settings/apps.")
	default:
		s.fail(w, r, err)
	}
}

// comesBack reports whether the state is of a page that we have shown, and the
// code the first that came with it.
func (s *Setup) comesBack(ctx context.Context, state, code string) (bool, error) {
	if state == "" || code == "" {
		return false, nil
	}
	open, err := s.App.Memory.Recall(ctx, "setup/"+state)
	if err != nil || open == "" {
		return false, err
	}
	sum := sha256.Sum256([]byte(code)) // the code itself is as good as the app's key
	came := hex.EncodeToString(sum[:])
	first, err := s.App.Memory.Claim(ctx, "setup-code/"+state, came, 2*stateKeeps)
	if first || err != nil {
		return first, err
	}
	before, err := s.App.Memory.Recall(ctx, "setup-code/"+state)
	return before == came, err
}

// installed is where GitHub sends whoever installed the app. The code in the
// address is theirs, so they see what they may see at GitHub, and an address
// that somebody made up shows nothing.
func (s *Setup) installed(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	installation, err := strconv.ParseInt(q.Get("installation_id"), 10, 64)
	id, there, missing := s.App.exists(r.Context())
	switch {
	case missing != nil:
		s.fail(w, r, missing)
		return
	case !there:
		s.say(w, http.StatusNotFound, "No GitHub App", "There is no GitHub App here yet; the operator creates it with `registry-build github setup`.")
		return
	case q.Get("setup_action") == "request":
		s.say(w, http.StatusOK, "Asked for", "An owner of the organization has to approve the installation. Pushes are built from then on.")
		return
	case err != nil || q.Get("code") == "" || id.ClientSecret == "":
		s.say(w, http.StatusOK, "Installed", "From now on pushes, tags and pull requests of the repositories with a .registry-build.yml are built.")
		return
	}
	token, err := s.App.person(r.Context(), id, q.Get("code"))
	if errors.Is(err, errCode) {
		s.App.Log.Info("code of an installation not taken", "err", err)
		s.say(w, http.StatusForbidden, "GitHub does not know this link any more", "It works once, within ten minutes. If the app was installed, it is installed all the same: its repositories' next pushes are built.")
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	list, total, err := s.App.repositories(r.Context(), token, installation)
	if refusedWith(err, http.StatusNotFound, http.StatusForbidden) {
		s.say(w, http.StatusForbidden, "Nothing to see here", "GitHub does not show you the repositories of this installation.")
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, http.StatusOK, "installed", s.App.onboard(r.Context(), strconv.FormatInt(installation, 10), list, total))
}

func (s *Setup) say(w http.ResponseWriter, status int, title, text string) {
	s.write(w, status, "sentence", map[string]string{"Title": title, "Text": text})
}

func (s *Setup) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.App.Log.Error("github setup", "path", r.URL.Path, "err", err)
	s.say(w, http.StatusBadGateway, "That did not work", "GitHub or our store did not answer as it should; the operator's log has the cause. Try again in a moment.")
}

func (s *Setup) write(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := setupPages.ExecuteTemplate(&page, name, data); err != nil {
		s.App.Log.Error("github setup", "template", name, "err", err)
		http.Error(w, "something on our side failed; the operator's log has the cause", http.StatusInternalServerError)
		return
	}
	github, _ := url.Parse(s.App.Config.URL)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "+
		"form-action 'self' "+github.Scheme+"://"+github.Host)
	h.Set("Referrer-Policy", "no-referrer") // addresses here carry rights
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}
