package config

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Limits of what an image's build may mount.
const (
	maxSecrets = 20
	maxSSH     = 20
)

// secretID is what a RUN step calls a secret or an agent by: BuildKit takes
// more, but a comma or an equals sign would end the option of --mount.
var secretID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

const secretIDRule = "1 to 64 letters, digits, _, . and -"

// variableName is the name of an environment variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

const variableNameRule = "letters, digits and _, no digit first, like CLOUD_SECRET_ID"

// taken remembers the names that entries of a list have, and where.
type taken map[string]int

// claim reports a name that another entry has.
func (r *reader) claim(names taken, n *yaml.Node, name, what string) {
	if n == nil || name == "" {
		return
	}
	if line, ok := names[name]; ok {
		r.errorf(n, "the %s %s is taken in line %d; choose another", what, r.show(n), line)
		return
	}
	names[name] = n.Line
}

// secrets reads what RUN steps may mount with --mount=type=secret.
func (r *reader) secrets(v *yaml.Node) []Secret {
	nodes := r.list(v, "secrets", "[{id: npmrc, credential: npm-token}]")
	if len(nodes) > maxSecrets {
		r.errorf(nodes[maxSecrets], "an image has at most %d secrets; this is number %d", maxSecrets, maxSecrets+1)
		nodes = nodes[:maxSecrets]
	}
	var out []Secret
	ids := taken{}
	for _, n := range nodes {
		out = append(out, r.secret(n, ids))
	}
	return out
}

func (r *reader) secret(n *yaml.Node, ids taken) Secret {
	s := Secret{Pos: position(n)}
	seen, ok := r.section(n, "images[].secrets[]", fields{
		"credential": func(v *yaml.Node) { s.Credential = r.credential(v) },
		"id": func(v *yaml.Node) {
			s.ID, _ = r.word(v, "id", secretID, secretIDRule)
			r.claim(ids, v, s.ID, "id")
		},
		"secretIdVariable": func(v *yaml.Node) {
			s.SecretIDVariable, _ = r.word(v, "secretIdVariable", variableName, variableNameRule)
			r.claim(ids, v, s.SecretIDVariable, "name")
		},
		"secretKeyVariable": func(v *yaml.Node) {
			s.SecretKeyVariable, _ = r.word(v, "secretKeyVariable", variableName, variableNameRule)
			r.claim(ids, v, s.SecretKeyVariable, "name")
		},
	})
	if !ok {
		return s
	}
	if seen["credential"] == nil {
		r.errorf(n, "the secret has no credential; write credential: and the name that `registry-build credentials list` shows")
	}
	id, pair := seen["id"] != nil, seen["secretIdVariable"] != nil || seen["secretKeyVariable"] != nil
	switch {
	case id && pair:
		r.errorf(n, "id does not go together with secretIdVariable and secretKeyVariable; write id for a credential of one value, the other two for an API key")
	case !id && !pair:
		r.errorf(n, "the secret has no id; write id: NAME for RUN --mount=type=secret,id=NAME, or secretIdVariable and secretKeyVariable for an API key")
	case pair && seen["secretIdVariable"] == nil:
		r.errorf(n, "an API key has two halves; write secretIdVariable, the name that its secretId has in RUN --mount=type=secret,id=NAME,env=NAME")
	case pair && seen["secretKeyVariable"] == nil:
		r.errorf(n, "an API key has two halves; write secretKeyVariable, the name that its secretKey has in RUN --mount=type=secret,id=NAME,env=NAME")
	}
	return s
}

// credential reads the name of an entry of the encrypted store.
func (r *reader) credential(v *yaml.Node) string {
	s, _ := r.word(v, "credential", credentialName, credentialNameRule)
	return s
}

// ssh reads which keys RUN steps may use with --mount=type=ssh.
func (r *reader) ssh(v *yaml.Node) []SSH {
	nodes := r.list(v, "ssh", "[{credential: deploy-key}]")
	if len(nodes) > maxSSH {
		r.errorf(nodes[maxSSH], "an image has at most %d ssh entries; this is number %d", maxSSH, maxSSH+1)
		nodes = nodes[:maxSSH]
	}
	var out []SSH
	ids := taken{}
	for _, n := range nodes {
		s, at := SSH{ID: "default", Pos: position(n)}, n
		seen, ok := r.section(n, "images[].ssh[]", fields{
			"credential": func(v *yaml.Node) { s.Credential = r.credential(v) },
			"id":         func(v *yaml.Node) { s.ID, _ = r.word(v, "id", secretID, secretIDRule); at = v },
		})
		if ok && seen["credential"] == nil {
			r.errorf(n, "the ssh entry has no credential; write credential: and the name of one of kind ssh-key")
		}
		if ok && at == n && ids["default"] > 0 {
			r.errorf(n, "the ssh entry in line %d has no id either; write id: NAME for RUN --mount=type=ssh,id=NAME", ids["default"])
		} else if ok {
			r.claim(ids, at, s.ID, "id")
		}
		out = append(out, s)
	}
	return out
}
