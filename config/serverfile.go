package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// ParseServer reads a server file over DefaultServer; an empty file is the
// default. name is what diagnostics call it, and relative paths of
// ${file:PATH} start at its folder. It returns either the server or every
// problem of the file, in the file's order; never both.
func ParseServer(name string, data []byte) (*Server, Diagnostics) {
	return parseServer(&reader{file: name}, data)
}

func parseServer(r *reader, data []byte) (*Server, Diagnostics) {
	r.mayBeEmpty = true
	r.written = map[*yaml.Node]string{}
	s := DefaultServer()
	if root := r.open(data); root != nil {
		r.interpolate(root)
		r.server(root, s)
	}
	if len(r.diags) > 0 {
		return nil, r.diags.inOrder()
	}
	return s, nil
}

func (r *reader) server(root *yaml.Node, s *Server) {
	r.section(root, "", fields{
		"listen":   func(v *yaml.Node) { s.Listen = r.checked(v, "listen", checkListen) },
		"url":      func(v *yaml.Node) { s.URL = strings.TrimSuffix(r.checked(v, "url", checkServerURL), "/") },
		"data":     func(v *yaml.Node) { s.Data = r.checked(v, "data", checkFile) },
		"redis":    func(v *yaml.Node) { s.Redis = r.checked(v, "redis", checkRedis) },
		"buildkit": func(v *yaml.Node) { s.BuildKit = each(r, v, "buildkit", `[{address: "tcp://…"}]`, r.buildKit) },
		"registry": func(v *yaml.Node) { r.registry(v, &s.Registry) },
		"tokens":   func(v *yaml.Node) { s.Tokens = r.tokens(v) },
		"forges":   func(v *yaml.Node) { r.forges(v, s) },
		"clusters": func(v *yaml.Node) { s.Clusters = r.clusters(v) },
		"policy": func(v *yaml.Node) {
			s.Policy = each(r, v, "policy", `[{repositories: […], images: […]}]`, r.policy)
		},
		"limits":    func(v *yaml.Node) { r.limits(v, &s.Limits) },
		"retention": func(v *yaml.Node) { r.retention(v, &s.Retention) },
		"triggers":  func(v *yaml.Node) { r.serverTriggers(v, s) },
		"timezone":  func(v *yaml.Node) { s.Timezone = r.timezone(v) },
		"credentials": func(v *yaml.Node) {
			r.section(v, "credentials", fields{
				"keyFile": func(v *yaml.Node) { s.KeyFile = r.checked(v, "keyFile", checkFile) },
			})
		},
	})
	r.knownClusters(s)
}

// each reads every entry of a list.
func each[T any](r *reader, v *yaml.Node, key, example string, read func(*yaml.Node) T) []T {
	var out []T
	for _, n := range r.list(v, key, example) {
		out = append(out, read(n))
	}
	return out
}

// checked returns a text that check has nothing against. What check says
// never quotes the value.
func (r *reader) checked(v *yaml.Node, key string, check func(string) error) string {
	s, ok := r.text(v, strconv.Quote(key))
	if !ok {
		return ""
	}
	if err := check(s); err != nil {
		r.errorf(v, "%s: %s", key, err)
	}
	return s
}

// checkedList is checked for every entry of a list; an entry that stands
// twice is reported.
func (r *reader) checkedList(v *yaml.Node, key, example string, check func(string) error) []string {
	var out []string
	for _, n := range r.list(v, key, example) {
		before := len(r.diags)
		s := r.checked(n, key, check)
		if len(r.diags) == before && slices.Contains(out, s) {
			r.errorf(n, "%s stands twice; remove one", r.show(n))
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) buildKit(n *yaml.Node) BuildKit {
	b := BuildKit{Lane: "trusted"}
	var tls *yaml.Node
	seen, ok := r.section(n, "buildkit[]", fields{
		"address":   func(v *yaml.Node) { b.Address = r.checked(v, "address", checkBuildKit) },
		"platforms": func(v *yaml.Node) { b.Platforms = r.platforms(v, 0) },
		"lane": func(v *yaml.Node) {
			if s, ok := r.oneOf(v, "lane", "trusted", "fork"); ok {
				b.Lane = s
			}
		},
		"domains": func(v *yaml.Node) { b.Domains = r.checkedList(v, "domains", `[acme, "team-*"]`, checkGlob) },
		"tls":     func(v *yaml.Node) { tls, b.TLS = v, r.tls(v) },
	})
	if ok && seen["address"] == nil {
		r.errorf(n, "the builder has no address; write address: tcp://host:1234 or unix:///run/buildkit/buildkitd.sock")
	}
	if tls != nil && b.Address != "" && !strings.HasPrefix(b.Address, "tcp://") {
		r.errorf(tls, "tls is for tcp:// addresses only; remove it")
	}
	return b
}

func (r *reader) tls(v *yaml.Node) TLS {
	var t TLS
	seen, _ := r.section(v, "buildkit[].tls", fields{
		"ca":         func(v *yaml.Node) { t.CA = r.checked(v, "ca", checkFile) },
		"cert":       func(v *yaml.Node) { t.Cert = r.checked(v, "cert", checkFile) },
		"key":        func(v *yaml.Node) { t.Key = r.checked(v, "key", checkFile) },
		"serverName": func(v *yaml.Node) { t.ServerName = r.checked(v, "serverName", checkHost) },
	})
	if (seen["cert"] == nil) != (seen["key"] == nil) {
		r.errorf(v, "cert and key go together; write both or neither")
	}
	return t
}

func (r *reader) registry(v *yaml.Node, reg *Registry) {
	r.section(v, "registry", fields{
		"default":      func(v *yaml.Node) { reg.Default = r.checked(v, "default", checkRegistry) },
		"insecure":     func(v *yaml.Node) { reg.Insecure = r.checkedList(v, "insecure", `["registry.lan:5000"]`, checkHost) },
		"dockerConfig": func(v *yaml.Node) { reg.DockerConfig = r.checked(v, "dockerConfig", checkFile) },
		"mirrors": func(v *yaml.Node) {
			if v.Kind != yaml.MappingNode {
				r.wrongKind(v, `"mirrors" is a mapping; write mirrors: {docker.io: [mirror.example.com]}`)
				return
			}
			reg.Mirrors = map[string][]string{}
			r.pairs(v, func(key, v *yaml.Node) {
				if err := checkHost(key.Value); err != nil {
					r.errorf(key, "%q: %s", key.Value, err)
				}
				reg.Mirrors[key.Value] = r.checkedList(v, key.Value, "[mirror.example.com]", checkRegistry)
			})
		},
	})
}

func (r *reader) tokens(v *yaml.Node) []Token {
	lines := map[string]int{}
	return each(r, v, "tokens", "[{name: …, hash: …, repositories: […], scopes: […]}]", func(n *yaml.Node) Token {
		var t Token
		seen, ok := r.section(n, "tokens[]", fields{
			"name":         func(v *yaml.Node) { t.Name, _ = r.word(v, "name", credentialName, credentialNameRule) },
			"hash":         func(v *yaml.Node) { t.Hash = r.checked(v, "hash", checkHash) },
			"repositories": func(v *yaml.Node) { t.Repositories = r.checkedList(v, "repositories", `["acme/*"]`, checkGlob) },
			"scopes":       func(v *yaml.Node) { t.Scopes = r.scopes(v) },
		})
		if !ok {
			return t
		}
		for _, k := range []string{"name", "hash", "repositories", "scopes"} {
			if seen[k] == nil {
				r.errorf(n, "the token has no %s; a token has a name, a hash, repositories and scopes", k)
			}
		}
		if line, ok := lines[t.Name]; ok && t.Name != "" {
			r.errorf(seen["name"], "the name %q is taken by the token in line %d; choose another", t.Name, line)
		}
		lines[t.Name] = n.Line
		return t
	})
}

func (r *reader) scopes(v *yaml.Node) []string {
	var out []string
	for _, n := range r.list(v, "scopes", "[git:read, registry:pull]") {
		s, ok := r.oneOf(n, "scopes", ScopeGitRead, ScopeGitWrite, ScopeRegistryPull, ScopeRegistryPush, ScopeAPI, ScopeNotify)
		if ok && slices.Contains(out, s) {
			r.errorf(n, "%s stands twice; remove one", r.show(n))
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) forges(v *yaml.Node, s *Server) {
	fs := fields{
		"git": func(v *yaml.Node) {
			r.section(v, "forges.git", fields{
				"create": func(v *yaml.Node) { s.Git.Create, _ = r.boolean(v, "create") },
			})
		},
		"github": func(v *yaml.Node) { r.github(v, &s.GitHub) },
		"gitlab": func(v *yaml.Node) { s.GitLab = r.gitlab(v) },
	}
	for key, title := range map[string]string{
		"gitea": "Gitea and Forgejo are",
		"gitee": "Gitee is", "coding": "CODING is", "codeup": "Codeup is",
	} {
		fs[key] = r.later(title)
	}
	r.section(v, "forges", fs)
}

func (r *reader) limits(v *yaml.Node, l *Limits) {
	r.section(v, "limits", fields{
		"concurrency":   func(v *yaml.Node) { l.Concurrency = r.count(v, "concurrency") },
		"perRepository": func(v *yaml.Node) { l.PerRepository = r.count(v, "perRepository") },
		"buildTimeout":  func(v *yaml.Node) { l.BuildTimeout = r.duration(v, "buildTimeout", time.Second) },
		"maxAttempts":   func(v *yaml.Node) { l.MaxAttempts = r.count(v, "maxAttempts") },
	})
}

func (r *reader) retention(v *yaml.Node, t *Retention) {
	r.section(v, "retention", fields{
		"events": func(v *yaml.Node) { t.Events = r.duration(v, "events", time.Hour) },
		"builds": func(v *yaml.Node) { t.Builds = r.duration(v, "builds", time.Hour) },
		"logs":   func(v *yaml.Node) { t.Logs = r.duration(v, "logs", time.Hour) },
	})
}

func (r *reader) count(v *yaml.Node, key string) int {
	s, ok := r.text(v, strconv.Quote(key))
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 10000 {
		r.errorf(v, "%q is not %s; write a whole number from 1 to 10000", key, r.show(v))
	}
	return n
}

func (r *reader) duration(v *yaml.Node, key string, least time.Duration) time.Duration {
	s, ok := r.text(v, strconv.Quote(key))
	if !ok {
		return 0
	}
	d, err := parseDuration(s)
	switch {
	case err != nil:
		r.errorf(v, "%q is not %s; write a time like 90m, 36h or 7d", key, r.show(v))
	case d < least:
		r.errorf(v, "%q is not %s; %s is the least", key, r.show(v), least)
	}
	return d
}
