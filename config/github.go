package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// GitHub is the GitHub App and the GitHub that it lives on.
type GitHub struct {
	App     int64    // id; 0: the app that was made on the setup page, if there is one
	Key     string   // its private key, PEM
	Secrets []string // of its webhook; several while one takes over from another

	API string // address of the REST API: https://api.github.com, or https://HOST/api/v3
	URL string // address of the website, without a slash at the end

	Show         Show
	PullRequests PullRequests
	Suggest      bool     // tell a repository once that it has a Dockerfile and no build file
	Bots         []string // logins whose comments are commands although they are bots
	Deployments  bool     // show what triggers roll out as GitHub deployments
	GitOps       bool     // let gitops triggers write to repositories that the app is installed in
}

// Show says how results are shown on a commit.
type Show string

const (
	ShowChecks   Show = "checks"
	ShowStatuses Show = "statuses"
	ShowBoth     Show = "both"
)

// Checks reports whether check runs are made.
func (s Show) Checks() bool { return s != ShowStatuses }

// Statuses reports whether commit statuses are posted.
func (s Show) Statuses() bool { return s != ShowChecks }

// PullRequests says which commit of a pull request is built.
type PullRequests string

const (
	PullHead  PullRequests = "head"  // what was pushed
	PullMerge PullRequests = "merge" // what merging it now would give
)

const githubAPI = "https://api.github.com"

func defaultGitHub() GitHub {
	return GitHub{API: githubAPI, URL: "https://github.com", Show: ShowBoth, PullRequests: PullHead, Suggest: true}
}

func (r *reader) github(v *yaml.Node, g *GitHub) {
	seen, ok := r.section(v, "forges.github", fields{
		"app": func(v *yaml.Node) { g.App = r.appID(v) },
		"key": func(v *yaml.Node) { g.Key = r.checked(v, "key", checkAppKey) },
		"secrets": func(v *yaml.Node) {
			g.Secrets = r.checkedList(v, "secrets", `["${env:GITHUB_WEBHOOK_SECRET}"]`, checkWebhookSecret)
		},
		"api": func(v *yaml.Node) { g.API = strings.TrimSuffix(r.checked(v, "api", checkGitHubAPI), "/") },
		"url": func(v *yaml.Node) { g.URL = strings.TrimSuffix(r.checked(v, "url", checkServerURL), "/") },
		"show": func(v *yaml.Node) {
			if s, ok := r.oneOf(v, "show", string(ShowChecks), string(ShowStatuses), string(ShowBoth)); ok {
				g.Show = Show(s)
			}
		},
		"pullRequests": func(v *yaml.Node) {
			if s, ok := r.oneOf(v, "pullRequests", string(PullHead), string(PullMerge)); ok {
				g.PullRequests = PullRequests(s)
			}
		},
		"suggest":     func(v *yaml.Node) { g.Suggest, _ = r.boolean(v, "suggest") },
		"deployments": func(v *yaml.Node) { g.Deployments, _ = r.boolean(v, "deployments") },
		"gitops":      func(v *yaml.Node) { g.GitOps, _ = r.boolean(v, "gitops") },
		"bots":        func(v *yaml.Node) { g.Bots = r.checkedList(v, "bots", `["renovate[bot]"]`, checkLogin) },
	})
	if !ok {
		return
	}
	given := 0
	for _, key := range []string{"app", "key", "secrets"} {
		if seen[key] != nil {
			given++
		}
	}
	if given > 0 && given < 3 {
		r.errorf(v, "app, key and secrets go together; write all three, or none and create the app with: registry-build github setup")
	}
	if seen["api"] != nil && seen["url"] == nil && g.API != "" {
		g.URL = websiteOf(g.API)
	}
}

func (r *reader) appID(v *yaml.Node) int64 {
	s, ok := r.text(v, `"app"`)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		r.errorf(v, "app is not %s; it is the app's id, a number that its settings page shows", r.show(v))
	}
	return n
}

// websiteOf is where people go: GitHub Enterprise Server has its API below
// its own address.
func websiteOf(api string) string {
	if api == githubAPI {
		return "https://github.com"
	}
	return strings.TrimSuffix(strings.TrimSuffix(api, "/v3"), "/api")
}

func checkGitHubAPI(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("write https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the address has more than a scheme, host and path; remove the rest")
	case u.Hostname() == "github.com":
		return errors.New("that is the website; the API of github.com is https://api.github.com")
	}
	return nil
}

func checkAppKey(s string) error {
	block, _ := pem.Decode([]byte(s))
	if block == nil {
		return errors.New("this is no private key; give the file that GitHub let you download, as ${file:PATH}: it begins with -----BEGIN RSA PRIVATE KEY-----")
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		return errors.New("the private key cannot be read; download a new one from the app's settings page")
	}
	return nil
}

func checkWebhookSecret(s string) error {
	if len(s) < 16 {
		return errors.New("a webhook secret of under 16 characters can be guessed; make one with: openssl rand -hex 32")
	}
	return nil
}

// login is what GitHub allows in a login; a bot's has [bot] at its end.
var login = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\[bot\])?$`)

func checkLogin(s string) error {
	if !login.MatchString(s) {
		return errors.New(`write a login, like "renovate[bot]"`)
	}
	return nil
}
