package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// GitLab is one GitLab server.
type GitLab struct {
	Name    string   // its instance in policy, repository keys and the webhook's address
	URL     string   // address of the website, without a slash at the end
	Token   string   // personal, project or group access token with the scope api
	Secrets []string // of webhooks that were made by hand; those that we make have their own
	CA      string   // PEM file of certificate authorities; "": the system's
	Proxy   string   // address of an HTTP or SOCKS proxy; "": the environment's
	Events  Delivery
	Bots    []string // usernames whose comments are commands although they are bots
	Onboard bool     // open a merge request with a build file where there is a Dockerfile and none
	GitOps  bool     // let gitops triggers write to repositories that the token reaches
}

// Delivery says how we hear of events.
type Delivery string

const (
	ByWebhook Delivery = "webhook" // the server calls us
	ByPoll    Delivery = "poll"    // we ask: the server cannot reach us
)

// forgeNames are taken: they mean a forge of that kind, or an address of ours.
var forgeNames = []string{"git", "github", "gitea", "gitee", "coding", "codeup", "registry", "upload", "local", "localhost"}

// instanceName is part of keys, addresses and image repositories, where a dot
// would make a host of it.
var instanceName = regexp.MustCompile(`^[a-z0-9]+(?:-[a-z0-9]+)*$`)

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

func (r *reader) gitlab(v *yaml.Node) []GitLab {
	lines := map[string]int{}
	return each(r, v, "forges.gitlab", `[{url: https://gitlab.com, token: "${env:GITLAB_TOKEN}"}]`, func(n *yaml.Node) GitLab {
		g := GitLab{Events: ByWebhook}
		seen, ok := r.section(n, "forges.gitlab[]", fields{
			"name":  func(v *yaml.Node) { g.Name = r.checked(v, "name", checkInstance) },
			"url":   func(v *yaml.Node) { g.URL = strings.TrimRight(r.checked(v, "url", checkGitLabURL), "/") },
			"token": func(v *yaml.Node) { g.Token = r.checked(v, "token", checkGitLabToken) },
			"secrets": func(v *yaml.Node) {
				g.Secrets = r.checkedList(v, "secrets", `["${env:GITLAB_WEBHOOK_SECRET}"]`, checkWebhookSecret)
			},
			"ca":    func(v *yaml.Node) { g.CA = r.beside(r.checked(v, "ca", checkFile)) },
			"proxy": func(v *yaml.Node) { g.Proxy = r.checked(v, "proxy", checkProxy) },
			"events": func(v *yaml.Node) {
				if s, ok := r.oneOf(v, "events", string(ByWebhook), string(ByPoll)); ok {
					g.Events = Delivery(s)
				}
			},
			"bots":    func(v *yaml.Node) { g.Bots = r.checkedList(v, "bots", "[renovate-bot]", checkGitLabUser) },
			"onboard": func(v *yaml.Node) { g.Onboard, _ = r.boolean(v, "onboard") },
			"gitops":  func(v *yaml.Node) { g.GitOps, _ = r.boolean(v, "gitops") },
		})
		if !ok {
			return g
		}
		for _, k := range []string{"url", "token"} {
			if seen[k] == nil {
				r.errorf(n, "the GitLab server has no %s; it takes both: url: https://gitlab.com and token: ${env:GITLAB_TOKEN}", k)
			}
		}
		if seen["name"] == nil && g.URL != "" {
			g.Name = instanceOf(g.URL)
		}
		if line, ok := lines[g.Name]; ok && g.Name != "" {
			r.errorf(n, "the GitLab server in line %d is called %q, too; give one of them another with name:", line, g.Name)
		}
		lines[g.Name] = n.Line
		return g
	})
}

// beside is a path of the server file's folder, as ${file:PATH} reads it.
func (r *reader) beside(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.file), path)
}

// instanceOf names a server that was not given a name: gitlab.com is gitlab,
// others are called like their host, so that one more server renames none.
func instanceOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.Host == "gitlab.com" {
		return "gitlab"
	}
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(u.Host+u.Path), "-"), "-")
	if slices.Contains(forgeNames, name) {
		return "gitlab-" + name
	}
	return name
}

func checkInstance(s string) error {
	switch {
	case !instanceName.MatchString(s) || len(s) > 63:
		return errors.New("a name is made of lower-case letters and digits, with - between them, at most 63 in all")
	case slices.Contains(forgeNames, s):
		return fmt.Errorf("%q means something else here; choose another name", s)
	}
	return nil
}

func checkGitLabURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("write the address with its scheme: https://gitlab.com, or https://HOST of your own server")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the address has more than a scheme, host and path; remove the rest")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api/v4"):
		return errors.New("that is the API; write the website's address, without /api/v4")
	}
	return nil
}

func checkGitLabToken(s string) error {
	if s == "" || strings.ContainsAny(s, " \t\r\n") {
		return errors.New(`a token is one word, like glpat-…; make one with the scope "api"`)
	}
	return nil
}

func checkProxy(s string) error {
	u, err := url.Parse(s)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) || u.Hostname() == "" {
		return errors.New("write the proxy's address with its scheme: http://proxy.example.com:3128, or socks5://…")
	}
	return nil
}

// gitlabUser is what GitLab allows in a username.
var gitlabUser = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

func checkGitLabUser(s string) error {
	if !gitlabUser.MatchString(s) {
		return errors.New(`write a username, like "renovate-bot"`)
	}
	return nil
}
