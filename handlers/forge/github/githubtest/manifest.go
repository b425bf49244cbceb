package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// appManifest is what a manifest may say:
// https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
type appManifest struct {
	Name           string `json:"name"`
	URL            string `json:"url"`
	HookAttributes *struct {
		URL    string `json:"url"`
		Active *bool  `json:"active"`
	} `json:"hook_attributes"`
	RedirectURL           string            `json:"redirect_url"`
	CallbackURLs          []string          `json:"callback_urls"`
	SetupURL              string            `json:"setup_url"`
	Description           string            `json:"description"`
	Public                bool              `json:"public"`
	DefaultEvents         []string          `json:"default_events"`
	DefaultPermissions    map[string]string `json:"default_permissions"`
	RequestOAuthOnInstall bool              `json:"request_oauth_on_install"`
	SetupOnUpdate         bool              `json:"setup_on_update"`
}

// newApp is the page that the manifest's form is posted to. The person presses
// "Create" at once: the browser goes on to redirect_url with code and state.
func (s *Server) newApp(w http.ResponseWriter, r *http.Request) {
	refuse := func(format string, args ...any) {
		http.Error(w, "Invalid GitHub App configuration: "+fmt.Sprintf(format, args...), http.StatusUnprocessableEntity)
	}
	var m appManifest
	decoder := json.NewDecoder(strings.NewReader(r.PostFormValue("manifest")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		refuse("manifest: %v", err)
		return
	}
	for field, value := range map[string]string{"url": m.URL, "redirect_url": m.RedirectURL} {
		if u, err := url.Parse(value); err != nil || u.Host == "" {
			refuse("%s must be a valid URL", field)
			return
		}
	}
	o := AppOptions{
		Name: m.Name, Owner: r.PathValue("org"), SetupURL: m.SetupURL, RequestOAuthOnInstall: m.RequestOAuthOnInstall,
		Permissions: m.DefaultPermissions, Events: m.DefaultEvents,
	}
	if o.Permissions == nil {
		o.Permissions = map[string]string{}
	}
	if o.Events == nil {
		o.Events = []string{}
	}
	if len(m.CallbackURLs) > 0 {
		o.CallbackURL = m.CallbackURLs[0]
	}
	if m.HookAttributes != nil {
		if u, err := url.Parse(m.HookAttributes.URL); err != nil || u.Host == "" {
			refuse("hook_attributes: url must be a valid URL")
			return
		}
		if m.HookAttributes.Active == nil || *m.HookAttributes.Active {
			o.HookURL = m.HookAttributes.URL
		}
	}
	s.mu.Lock()
	defer s.unlock()
	if o.Owner == "" {
		o.Owner = s.user("").login
	}
	app, err := s.addApp(o)
	if err != nil {
		refuse("%v", err)
		return
	}
	app.Description, app.Homepage, app.public = m.Description, m.URL, m.Public
	code := random(40)
	s.codes[code] = app
	s.ping(app)
	target, _ := url.Parse(m.RedirectURL)
	query := target.Query()
	query.Set("code", code)
	if state := r.URL.Query().Get("state"); state != "" {
		query.Set("state", state)
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// ping is what a new webhook gets first. It comes before anybody can have
// converted the code, so an honest receiver refuses it.
func (s *Server) ping(app *App) {
	s.send(app, nil, nil, "ping", object{
		"zen": "Half measures are as bad as nothing at all.", "hook_id": app.ID,
		"hook": object{
			"type": "App", "id": app.ID, "name": "web", "active": true, "events": app.Events, "app_id": app.ID,
			"config": app.hookConfig(), "updated_at": stamp(app.created), "created_at": stamp(app.created),
			"deliveries_url": s.API + "/app/hook/deliveries",
		},
	})
}

// convertManifest gives the secrets of a new app, once.
func (s *Server) convertManifest(c *call) (answer, error) {
	app := s.codes[c.vars["code"]]
	if app == nil {
		return answer{}, errNotFound
	}
	delete(s.codes, c.vars["code"])
	body := app.json()
	body["client_secret"], body["webhook_secret"], body["pem"] = app.ClientSecret, app.HookSecret, app.PrivateKeyPEM
	return created(body)
}
