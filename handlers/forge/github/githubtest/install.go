package githubtest

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
)

// installPage is where "Install" of an app leads: a form with the account,
// the repositories (none: all) and who it is that installs.
func (s *Server) installPage(w http.ResponseWriter, r *http.Request) {
	app := s.App(r.PathValue("slug"))
	if app == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, `<!doctype html><title>Install %s</title><form method=post>
<input name=account value=%q> <input name=repository> <input name=login> <button>Install</button></form>`,
		html.EscapeString(app.Name), html.EscapeString(app.owner.login))
}

// installApp is the person pressing the button: the browser goes on to where
// the app wants it.
func (s *Server) installApp(w http.ResponseWriter, r *http.Request) {
	app := s.App(r.PathValue("slug"))
	if app == nil {
		http.NotFound(w, r)
		return
	}
	account := r.PostFormValue("account")
	var repos []string
	for _, name := range r.PostForm["repository"] {
		if name != "" {
			repos = append(repos, name)
		}
	}
	inst, err := app.Install(account, repos...)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	target := inst.AfterInstall(r.PostFormValue("login"))
	if state := r.URL.Query().Get("state"); state != "" {
		target += "&state=" + url.QueryEscape(state)
	}
	http.Redirect(w, r, target, http.StatusFound)
}
