package builder

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// describeSecrets names what steps may mount and the credentials behind it.
func describeSecrets(secrets []config.Secret) string {
	var words []string
	for _, s := range secrets {
		id := s.ID
		if id == "" {
			id = s.SecretIDVariable + "+" + s.SecretKeyVariable
		}
		words = append(words, id+" from "+s.Credential)
	}
	return inOrder(words)
}

func describeSSH(keys []config.SSH) string {
	var words []string
	for _, s := range keys {
		words = append(words, s.ID+" from "+s.Credential)
	}
	return inOrder(words)
}

// describeTrigger names the host of an address only: the rest may be a secret
// that somebody put there, and a comment is read by more people than the file.
func describeTrigger(t config.Trigger) itemText {
	var on []string
	for _, o := range t.On {
		on = append(on, string(o))
	}
	text := itemText{"trigger " + t.Name, parts{{"on", inOrder(on)}, {"for tags", t.Tags.String()}, {"environment", t.Environment}}}
	if w := t.Webhook; w != nil {
		host := "an address"
		if u, err := url.Parse(w.URL); err == nil && u.Host != "" {
			host = u.Host
		}
		text.settings = append(text.settings, part{"webhook", host}, part{"credential", w.Credential},
			part{"format", string(w.Format)}, part{hidden, w.URL})
	}
	if k := t.Kubernetes; k != nil {
		text.settings = append(text.settings, part{"kubernetes", workload(*k)}, part{"container", k.Container},
			part{"rollback", only("true", k.Rollback)})
		if k.Timeout > 0 {
			text.settings = append(text.settings, part{"timeout", k.Timeout.String()})
		}
	}
	if g := t.GitOps; g != nil {
		text.settings = append(text.settings, part{"gitops", g.Repository}, part{"branch", g.Branch}, part{"file", g.File},
			part{"kustomize", g.Kustomize}, part{"helm", g.Helm}, part{"path", g.Path},
			part{"pull request", only("true", g.PullRequest)}, part{"credential", g.Credential})
	}
	if c := t.Chat; c != nil {
		people := ""
		if n := len(c.To); n == 1 {
			people = "1 address"
		} else if n > 1 {
			people = fmt.Sprintf("%d addresses", n)
		}
		text.settings = append(text.settings, part{"chat", "message"}, part{"credential", c.Credential},
			part{"to", people}, part{hidden, strings.Join(c.To, ", ")})
	}
	return text
}

// workload is how a policy writes it, too.
func workload(k config.Kubernetes) string {
	return fmt.Sprintf("%s/%s/%s/%s", k.Cluster, k.Namespace, k.Kind, k.Name)
}

// hidden is a setting whose change is told without its value.
const hidden = "address"
