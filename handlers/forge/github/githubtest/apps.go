package githubtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// App is a registered GitHub App. The fields stay as they are after it was
// made, but for HookURL and HookSecret, which PATCH /app/hook/config changes.
type App struct {
	ID                    int64
	Slug, Name, ClientID  string
	ClientSecret          string
	HookURL, HookSecret   string
	SetupURL, CallbackURL string
	RequestOAuthOnInstall bool
	PrivateKeyPEM         string
	Permissions           map[string]string
	Events                []string
	Homepage, Description string
	s                     *Server
	key                   *rsa.PrivateKey
	owner                 *account
	created               time.Time
	public                bool
	insecureSSL           string
	installs              []*Installation
}

// AppOptions are what a person fills in at "New GitHub App".
type AppOptions struct {
	Name        string // default "registry-build"
	Owner       string // default the organisation "acme"
	HookURL     string // empty: no webhooks
	HookSecret  string // default a random one
	SetupURL    string
	CallbackURL string
	// Permissions default to DefaultPermissions, Events to DefaultEvents.
	Permissions map[string]string
	Events      []string
	// RequestOAuthOnInstall is "Request user authorization during installation".
	RequestOAuthOnInstall bool
}

// DefaultPermissions are those of an app that builds.
func DefaultPermissions() map[string]string {
	return map[string]string{
		"metadata": "read", "contents": "read", "checks": "write", "statuses": "write", "pull_requests": "write",
		"issues": "write", "deployments": "write", "merge_queues": "read",
	}
}

// DefaultEvents are the events that DefaultPermissions allow and a builder wants.
func DefaultEvents() []string {
	return []string{"push", "create", "delete", "pull_request", "issue_comment", "commit_comment", "check_run", "check_suite", "merge_group", "repository"}
}

// eventPermission says which permission an event needs (read). Events that are
// not in it come to every app.
var eventPermission = map[string]string{
	"push": "contents:read", "create": "contents:read", "delete": "contents:read", "commit_comment": "contents:read",
	"pull_request": "pull_requests:read", "issue_comment": "issues:read", "check_run": "checks:read",
	"check_suite": "checks:read", "merge_group": "merge_queues:read", "repository": "metadata:read", "status": "statuses:read",
	"deployment": "deployments:read", "deployment_status": "deployments:read", "issues": "issues:read",
}

// always are the events that an app gets without subscribing.
var always = []string{"installation", "installation_repositories", "installation_target", "github_app_authorization", "ping"}

// AddApp registers an app, as a person does by hand.
func (s *Server) AddApp(o AppOptions) (*App, error) {
	s.mu.Lock()
	defer s.unlock()
	return s.addApp(o)
}

func (s *Server) addApp(o AppOptions) (*App, error) {
	if o.Name == "" {
		o.Name = "registry-build"
	}
	if o.Owner == "" {
		o.Owner = "acme"
	}
	if o.Permissions == nil {
		o.Permissions = DefaultPermissions()
	}
	if o.Events == nil {
		o.Events = DefaultEvents()
	}
	if o.HookSecret == "" {
		o.HookSecret = random(40)
	}
	if err := checkApp(o); err != nil {
		return nil, err
	}
	slug := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(o.Name)), "-")
	if slices.ContainsFunc(s.apps, func(a *App) bool { return a.Slug == slug }) {
		return nil, fmt.Errorf("name %q is already taken", o.Name)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	app := &App{
		ID: s.id(), Slug: slug, Name: o.Name, ClientID: "Iv23li" + random(14), ClientSecret: strings.ToLower(random(40)),
		HookURL: o.HookURL, HookSecret: o.HookSecret, SetupURL: o.SetupURL, CallbackURL: o.CallbackURL,
		RequestOAuthOnInstall: o.RequestOAuthOnInstall, PrivateKeyPEM: string(pem.EncodeToMemory(block)),
		Permissions: maps.Clone(o.Permissions), Events: slices.Clone(o.Events), Homepage: s.URL,
		s: s, key: key, owner: s.account(o.Owner, true), created: s.now(), insecureSSL: "0",
	}
	s.apps = append(s.apps, app)
	return app, nil
}

// checkApp refuses what GitHub's form refuses.
func checkApp(o AppOptions) error {
	if len(o.Name) > 34 {
		return fmt.Errorf("name %q is too long (maximum is 34 characters)", o.Name)
	}
	for name, level := range o.Permissions {
		if !slices.Contains(permissionNames, name) {
			return fmt.Errorf("default_permissions: there is no permission %q", name)
		}
		if !slices.Contains(levels[1:], level) {
			return fmt.Errorf("default_permissions: %s cannot be %q", name, level)
		}
	}
	for _, event := range o.Events {
		need, known := eventPermission[event]
		switch {
		case slices.Contains(always, event):
			return fmt.Errorf("default_events: %q cannot be subscribed to: every app gets it", event)
		case !known:
			return fmt.Errorf("default_events: there is no event %q", event)
		case !grantsAny(o.Permissions, need):
			return fmt.Errorf("default_events: %q needs the permission %s", event, need)
		}
	}
	return nil
}

var permissionNames = []string{
	"actions", "administration", "checks", "contents", "deployments", "environments", "issues", "members", "merge_queues",
	"metadata", "packages", "pages", "pull_requests", "repository_hooks", "secrets", "single_file", "statuses", "workflows",
}

// App returns the app of a slug, or nil.
func (s *Server) App(slug string) *App {
	s.mu.Lock()
	defer s.unlock()
	return s.appOf(slug)
}

func (s *Server) appOf(slug string) *App {
	if i := slices.IndexFunc(s.apps, func(a *App) bool { return a.Slug == slug }); i >= 0 {
		return s.apps[i]
	}
	return nil
}

// SetHook changes where the app's webhooks go, as its settings page does.
func (a *App) SetHook(url, secret string) {
	a.s.mu.Lock()
	defer a.s.unlock()
	a.HookURL, a.HookSecret = url, secret
}

func (a *App) json() object {
	return object{
		"id": a.ID, "slug": a.Slug, "node_id": nodeID("App", a.ID), "client_id": a.ClientID, "owner": a.s.userJSON(a.owner),
		"name": a.Name, "description": a.Description, "external_url": a.Homepage, "html_url": a.s.URL + "/apps/" + a.Slug,
		"created_at": stamp(a.created), "updated_at": stamp(a.created), "permissions": a.Permissions, "events": a.Events,
	}
}

func (s *Server) getApp(c *call) (answer, error) {
	body := c.tok.app.json()
	body["installations_count"] = len(c.tok.app.installs)
	return ok(body)
}

func (s *Server) getHookConfig(c *call) (answer, error) { return ok(c.tok.app.hookConfig()) }

func (a *App) hookConfig() object {
	config := object{"url": a.HookURL, "content_type": "json", "insecure_ssl": a.insecureSSL}
	if a.HookSecret != "" {
		config["secret"] = "********"
	}
	return config
}

func (s *Server) updateHookConfig(c *call) (answer, error) {
	var in struct {
		URL, Secret *string
		ContentType *string `json:"content_type"`
		InsecureSSL any     `json:"insecure_ssl"`
	}
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.URL != nil {
		c.tok.app.HookURL = *in.URL
	}
	if in.Secret != nil {
		c.tok.app.HookSecret = *in.Secret
	}
	if in.InsecureSSL != nil {
		c.tok.app.insecureSSL = fmt.Sprint(in.InsecureSSL)
	}
	if in.ContentType != nil && *in.ContentType != "json" {
		return answer{}, &apiError{status: http.StatusUnprocessableEntity, message: "the double speaks only content_type json"}
	}
	return ok(c.tok.app.hookConfig())
}
