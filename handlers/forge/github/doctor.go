package github

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	// clockSkew is how far the clocks may be apart: GitHub refuses an app's
	// token that seems to be from the future, and one lives ten minutes.
	clockSkew = 30 * time.Second
	// deliveriesSeen is how many of the last deliveries are looked at.
	deliveriesSeen = 50
	// installationsSeen is how many installations are looked at.
	installationsSeen = 100
)

// Doctor looks at the app as GitHub has it: its key, the clock, permissions,
// events, the webhook and its last deliveries, and what it is installed on.
// address is ours, where deliveries should come.
func (a *App) Doctor(ctx context.Context, m Manifest, address string) []forge.Finding {
	id, there, err := a.exists(ctx)
	switch {
	case err != nil:
		return []forge.Finding{{What: "the GitHub App's key cannot be read", Mend: err.Error()}}
	case !there:
		return []forge.Finding{{What: "there is no GitHub App", Mend: "create it with: registry-build github setup"}}
	}
	client, err := a.appClient(ctx)
	if err != nil {
		return []forge.Finding{{What: "the GitHub App's key cannot be used", Mend: err.Error()}}
	}
	var app registered
	resp, err := read(ctx, client, "app", &app)
	if resp != nil {
		if f := a.clock(resp.Response); f.Mend != "" {
			return []forge.Finding{f} // nothing else works until then
		}
	}
	if err != nil {
		return []forge.Finding{a.unknown(id, err)}
	}
	settings := a.settings(app)
	found := []forge.Finding{{What: fmt.Sprintf("GitHub knows the app %s (%d) by its key", app.Slug, app.ID)}, {What: "the clocks agree"}}
	found = append(found, missingRights(m.Permissions(a.Config), app.Permissions, settings+"/permissions")...)
	found = append(found, missingEvents(m.Manifest.DefaultEvents, app.Events, settings+"/permissions")...)
	found = append(found, a.hook(ctx, client, address, settings)...)
	found = append(found, a.lastDeliveries(ctx, client, settings+"/advanced")...)
	return append(found, a.installations(ctx, client, m, app)...)
}

// unknown says why GitHub did not tell about the app.
func (a *App) unknown(id Identity, err error) forge.Finding {
	switch answeredWith(err) {
	case http.StatusUnauthorized, http.StatusNotFound:
		return forge.Finding{What: fmt.Sprintf("GitHub does not know app %d by this key (%v)", id.ID, err),
			Mend: fmt.Sprintf("make a new private key at %s/settings/apps, on the app's page, and put it in the old one's place (handlers/forge/github/README.md says where); or remove the app there and create another", a.Config.URL)}
	case 0:
		return forge.Finding{What: fmt.Sprintf("GitHub cannot be reached at %s (%v)", a.Config.API, err),
			Mend: "let this machine reach it, or correct forges.github.api in the server file; HTTPS_PROXY is obeyed"}
	}
	return forge.Finding{What: fmt.Sprintf("GitHub does not tell about the app (%v)", err), Mend: "try again in a moment; https://www.githubstatus.com tells of its troubles"}
}

// registered is the app as GitHub has it, and placed where it is installed.
// go-github's own types know only the permissions of their time.
type registered struct {
	ID          int64             `json:"id"`
	Slug        string            `json:"slug"`
	Permissions map[string]string `json:"permissions"`
	Events      []string          `json:"events"`
	Owner       account           `json:"owner"`
}

type placed struct {
	HTMLURL     string            `json:"html_url"`
	Account     account           `json:"account"`
	Permissions map[string]string `json:"permissions"`
	SuspendedAt *time.Time        `json:"suspended_at"`
}

type account struct {
	Login string `json:"login"`
	Type  string `json:"type"`
}

func read(ctx context.Context, client *github.Client, path string, into any) (*github.Response, error) {
	req, err := client.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(ctx, req, into)
}

func (a *App) settings(app registered) string {
	if app.Owner.Type == "Organization" {
		return a.Config.URL + "/organizations/" + app.Owner.Login + "/settings/apps/" + app.Slug
	}
	return a.Config.URL + "/settings/apps/" + app.Slug
}

func (a *App) clock(resp *http.Response) forge.Finding {
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return forge.Finding{What: "GitHub does not tell the time"}
	}
	if d := a.Now().Sub(there); d > clockSkew || d < -clockSkew {
		return forge.Finding{What: fmt.Sprintf("this machine's clock is %s off", d.Abs().Round(time.Second)),
			Mend: "set it, with NTP, or GitHub refuses the app's tokens"}
	}
	return forge.Finding{What: "the clocks agree"}
}

// enough reports whether the permission that was given covers what is needed.
func enough(given, needed string) bool {
	return given == needed || given == "write" && needed == "read" || given == "admin"
}

func missingRights(want, have map[string]string, where string) []forge.Finding {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !enough(have[name], want[name]) {
			missing = append(missing, name+": "+want[name])
		}
	}
	if len(missing) == 0 {
		return []forge.Finding{{What: "the app has the permissions that it needs"}}
	}
	return []forge.Finding{{What: "the app lacks " + strings.Join(missing, ", "), Mend: "grant it at " + where}}
}

func missingEvents(want, have []string, where string) []forge.Finding {
	var missing []string
	for _, name := range want {
		if !slices.Contains(have, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return []forge.Finding{{What: "the app hears of the events that it needs"}}
	}
	return []forge.Finding{{What: "the app does not hear of " + strings.Join(missing, ", "), Mend: "subscribe to it at " + where}}
}

// delivering is the webhook's settings. insecure_ssl is "0", "1", 0 or 1.
// https://docs.github.com/rest/apps/webhooks#get-a-webhook-configuration-for-an-app
type delivering struct {
	URL         string          `json:"url"`
	ContentType string          `json:"content_type"`
	InsecureSSL json.RawMessage `json:"insecure_ssl"`
}

func (a *App) hook(ctx context.Context, client *github.Client, address, settings string) []forge.Finding {
	var hook delivering
	if _, err := read(ctx, client, "app/hook/config", &hook); err != nil {
		return []forge.Finding{{What: fmt.Sprintf("the webhook's settings cannot be read (%v)", err), Mend: "look at them at " + settings}}
	}
	want := address + "/hooks/" + Instance
	var found []forge.Finding
	if hook.URL == want {
		found = append(found, forge.Finding{What: "the webhook delivers to " + want})
	} else {
		found = append(found, forge.Finding{What: fmt.Sprintf("the webhook delivers to %q", hook.URL),
			Mend: fmt.Sprintf("let it deliver to %s, at %s; or correct url: in the server file", want, settings)})
	}
	if hook.ContentType != "json" {
		found = append(found, forge.Finding{What: "the webhook delivers forms", Mend: "choose the content type application/json at " + settings})
	}
	if strings.Trim(string(hook.InsecureSSL), `"`) == "1" && strings.HasPrefix(want, "https:") {
		found = append(found, forge.Finding{What: "the webhook does not check our certificate", Mend: "enable SSL verification at " + settings})
	}
	if why := a.Reachable(address); why != "" {
		found = append(found, forge.Finding{What: "deliveries cannot arrive", Mend: why})
	}
	return found
}

func (a *App) lastDeliveries(ctx context.Context, client *github.Client, where string) []forge.Finding {
	list, _, err := client.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: deliveriesSeen})
	if err != nil {
		return []forge.Finding{{What: fmt.Sprintf("the webhook's deliveries cannot be read (%v)", err), Mend: "look at them at " + where}}
	}
	arrived := map[string]bool{}
	for _, d := range list {
		arrived[d.GetGUID()] = arrived[d.GetGUID()] || d.GetStatusCode()/100 == 2
	}
	var failed []string
	for _, d := range list { // the newest first
		// The ping of a new app comes before its secret does.
		if !arrived[d.GetGUID()] && d.GetEvent() != "ping" {
			arrived[d.GetGUID()] = true // told once
			failed = append(failed, fmt.Sprintf("%s at %s: %s", d.GetEvent(), d.GetDeliveredAt().UTC().Format(time.RFC3339), d.GetStatus()))
		}
	}
	switch {
	case len(list) == 0:
		return []forge.Finding{{What: "nothing was delivered yet"}}
	case len(failed) == 0:
		newest := list[0].GetDeliveredAt().UTC().Format(time.RFC3339)
		if len(list) == 1 {
			return []forge.Finding{{What: "the only delivery so far arrived, at " + newest}}
		}
		return []forge.Finding{{What: fmt.Sprintf("the last %d deliveries arrived, the newest at %s", len(list), newest)}}
	}
	return []forge.Finding{{What: fmt.Sprintf("%d of the last %d deliveries did not arrive; the newest: %s", len(failed), len(list), failed[0]),
		Mend: "the server asks for them again by itself every few minutes; if that goes on, see the answers at " + where}}
}

func (a *App) installations(ctx context.Context, client *github.Client, m Manifest, app registered) []forge.Finding {
	var list []placed
	_, err := read(ctx, client, fmt.Sprintf("app/installations?per_page=%d", installationsSeen), &list)
	if err != nil {
		return []forge.Finding{{What: fmt.Sprintf("the installations cannot be read (%v)", err), Mend: "try again in a moment"}}
	}
	if len(list) == 0 {
		return []forge.Finding{{What: "the app is installed nowhere", Mend: "install it on repositories at " + a.Config.URL + "/apps/" + app.Slug + "/installations/new"}}
	}
	var found []forge.Finding
	for _, in := range list {
		owner := in.Account.Login
		if in.SuspendedAt != nil {
			found = append(found, forge.Finding{What: owner + " has suspended the installation", Mend: "an owner lifts that at " + in.HTMLURL})
			continue
		}
		for _, f := range missingRights(m.Permissions(a.Config), in.Permissions, in.HTMLURL) {
			if f.Mend != "" {
				found = append(found, forge.Finding{What: "at " + owner + " " + f.What, Mend: "an owner accepts the new permissions at " + in.HTMLURL})
			} else {
				found = append(found, forge.Finding{What: owner + " lets the app in"})
			}
		}
	}
	return found
}
