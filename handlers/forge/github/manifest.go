package github

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Manifest is what GitHub makes the app from, and why it needs what it asks
// for (manifests/github-app.json).
type Manifest struct {
	Manifest struct {
		Name                  string            `json:"name"`
		Description           string            `json:"description"`
		URL                   string            `json:"url"`
		HookAttributes        *hookAttributes   `json:"hook_attributes,omitempty"`
		RedirectURL           string            `json:"redirect_url"`
		CallbackURLs          []string          `json:"callback_urls,omitempty"`
		Public                bool              `json:"public"`
		RequestOAuthOnInstall bool              `json:"request_oauth_on_install"`
		DefaultPermissions    map[string]string `json:"default_permissions"`
		DefaultEvents         []string          `json:"default_events"`
	} `json:"manifest"`
	// Why has the reason of each permission by its name; "NAME: LEVEL" is that
	// of one that a setting raises to the level.
	Why   map[string]string `json:"why"`
	Later map[string]string `json:"later"` // what a setting adds, or raises
}

type hookAttributes struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// ParseManifest reads manifests/github-app.json.
func ParseManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read the app's manifest: %w", err)
	}
	return m, nil
}

// filled is the manifest for an installation at the address, as GitHub takes
// it. https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
func (m Manifest) filled(address, name string, settings config.GitHub) (string, error) {
	form := m.Manifest
	form.Name, form.URL = name, address
	form.HookAttributes = &hookAttributes{URL: address + "/hooks/" + Instance, Active: true}
	form.RedirectURL = address + pathCreated
	form.CallbackURLs = []string{address + pathInstalled}
	form.DefaultPermissions = m.Permissions(settings)
	text, err := json.Marshal(form)
	return string(text), err
}

// Permissions are those that the app asks for with these settings.
func (m Manifest) Permissions(settings config.GitHub) map[string]string {
	all := maps.Clone(m.Manifest.DefaultPermissions)
	for name, on := range map[string]bool{"deployments": settings.Deployments, "contents": settings.GitOps} {
		if on {
			all[name] = m.Later[name]
		}
	}
	return all
}

// why is the reason for a permission.
func (m Manifest) why(name, level string) string {
	return strings.TrimPrefix(cmp.Or(m.Why[name+": "+level], m.Why[name]), level+": ")
}

// reasons are the permissions with why they are needed, for people.
func (m Manifest) reasons(settings config.GitHub) []reason {
	all := m.Permissions(settings)
	var list []reason
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, reason{name, all[name], m.why(name, all[name])})
	}
	return list
}

type reason struct{ Name, Access, Why string }

// Reachable says in one sentence why GitHub could not deliver to the address,
// "" if it could for all that can be told from here.
func (a *App) Reachable(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return "the server has no address; write url: https://… into the server file"
	}
	api, err := url.Parse(a.Config.API)
	if err != nil || api.Hostname() != "api.github.com" {
		return "" // an Enterprise Server may be beside us
	}
	host := u.Hostname()
	ip, err := netip.ParseAddr(host)
	if err == nil && !inside(ip.Unmap()) || err != nil && !insideName(host) {
		return ""
	}
	return fmt.Sprintf("GitHub cannot deliver to %s, which only this network reaches. Give the server an address that the internet reaches (a reverse proxy with TLS in front of it, or a tunnel) and write it into the server file: url: https://builds.example.com",
		net.JoinHostPort(host, orPort(u)))
}

// inside reports whether the address means nothing on the internet.
func inside(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || carrierNAT.Contains(ip)
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// insideName reports whether a host name can only be one of a network of
// one's own: it has one label, or ends as RFC 6761, RFC 6762, RFC 8375 and
// ICANN (.internal) have it.
func insideName(host string) bool {
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(host, ".")), ".")
	last := labels[len(labels)-1]
	return len(labels) == 1 || slices.Contains([]string{"localhost", "local", "internal", "lan", "test", "invalid"}, last) ||
		last == "arpa" && labels[len(labels)-2] == "home"
}

func orPort(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// Create asks GitHub for the app that somebody has just made from the
// manifest: its id, key and secrets. The code is good for an hour and once.
func (a *App) Create(ctx context.Context, code string) (Identity, error) {
	var made struct {
		ID            int64  `json:"id"`
		Slug          string `json:"slug"`
		PEM           string `json:"pem"`
		WebhookSecret string `json:"webhook_secret"`
		ClientID      string `json:"client_id"`
		ClientSecret  string `json:"client_secret"`
	}
	err := a.plain(ctx, "POST", a.Config.API+"/app-manifests/"+url.PathEscape(code)+"/conversions", "", nil, &made)
	if err != nil {
		return Identity{}, fmt.Errorf("create the app: %w", err)
	}
	if made.ID == 0 || made.PEM == "" || made.WebhookSecret == "" {
		return Identity{}, errors.New("create the app: GitHub's answer names no id, key or secret")
	}
	return Identity{ID: made.ID, Slug: made.Slug, Key: made.PEM, Secrets: []string{made.WebhookSecret}, ClientID: made.ClientID, ClientSecret: made.ClientSecret}, nil
}

// exists reports whether there is an app already.
func (a *App) exists(ctx context.Context) (Identity, bool, error) {
	id, err := a.Identities.Identity(ctx)
	if errors.Is(err, builder.ErrNotFound) {
		return id, false, nil
	}
	return id, err == nil, err
}
